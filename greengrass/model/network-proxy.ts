/** `coreThing.networkProxy` of config.json: V1's members. Pure. */
import { z } from '../lib/check.js';

export const networkProxySchema = z.looseObject({
  /** Comma-separated addresses and host names; V1's own example has a URL among them. */
  noProxyAddresses: z.string().optional(),
  proxy: z.looseObject({
    url: z.string().min(1),
    username: z.string().optional(),
    password: z.string().optional(),
  }),
});

/** A proxy for connections to the cloud. */
export interface NetworkProxy {
  readonly host: string;
  readonly port: number;
  readonly isHttps: boolean;
  readonly username?: string;
  readonly password?: string;
  /** Hosts that are reached without it, in lower case. */
  readonly exempt: readonly string[];
}

/** Throws where `proxy.url` is not `http[s]://[user[:password]@]host[:port]`; the message never shows credentials. */
export function networkProxyOf(value: z.output<typeof networkProxySchema>): NetworkProxy {
  const { url, username, password } = value.proxy;
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    throw new Error('must be http://host[:port] or https://host[:port]');
  }
  if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:') {
    throw new Error(`only HTTP and HTTPS proxies can be used, but the scheme is "${parsed.protocol}"`);
  }
  const isHttps = parsed.protocol === 'https:';
  // V1: user information in the URL wins over the other two members.
  const user = parsed.username === '' ? username : decodeURIComponent(parsed.username);
  const secret = parsed.username === '' ? password : decodeURIComponent(parsed.password);
  return {
    host: parsed.hostname.replace(/^\[|\]$/g, ''),
    port: parsed.port === '' ? (isHttps ? 443 : 80) : Number(parsed.port),
    isHttps,
    ...(user === undefined ? {} : { username: user }),
    ...(secret === undefined ? {} : { password: secret }),
    exempt: (value.noProxyAddresses ?? '').split(',').map(hostOf).filter(Boolean),
  };
}

/** The proxy for `host`, or undefined where there is none or the host is exempt. */
export function proxyFor(proxy: NetworkProxy | undefined, host: string): NetworkProxy | undefined {
  const wanted = host.toLowerCase();
  return proxy?.exempt.some((each) => each === wanted || (each.startsWith('.') && wanted.endsWith(each)))
    ? undefined
    : proxy;
}

/** `http://host:1/path` and `host:1` to `host`. */
function hostOf(text: string): string {
  const bare = text
    .trim()
    .toLowerCase()
    .replace(/^[a-z]+:\/\//, '')
    .replace(/\/.*$/, '');
  // An IPv6 address has more than one colon.
  return bare.split(':').length === 2 ? bare.replace(/:\d+$/, '') : bare.replace(/^\[|\](:\d+)?$/g, '');
}
