/** The core's network proxy as functions get to know it: the variables that most HTTP clients read. Pure. */
import type { NetworkProxy } from '../../model/network-proxy.js';

/** Reached without a proxy wherever the core is: the workers' door among them. */
const LOCAL = ['localhost', '127.0.0.1', '::1'];

/**
 * In both cases of the names: programs differ in which one they read. A variable that the function sets in either case is the
 * function's in both.
 */
export function proxyEnvironment(
  proxy: NetworkProxy | undefined,
  own: Readonly<Record<string, string>>,
): Record<string, string> {
  if (!proxy) return {};
  const url = urlOf(proxy);
  const values = {
    http_proxy: url,
    https_proxy: url,
    no_proxy: [...new Set([...LOCAL, ...proxy.exempt])].join(','),
  };
  const names = Object.entries(values).filter(([name]) => !(name in own) && !(name.toUpperCase() in own));
  return Object.fromEntries(
    names.flatMap(([name, value]) => [
      [name, value],
      [name.toUpperCase(), value],
    ]),
  );
}

function urlOf({ host, port, isHttps, username, password }: NetworkProxy): string {
  const user = username === undefined ? '' : encodeURIComponent(username);
  const secret = password === undefined ? '' : `:${encodeURIComponent(password)}`;
  const login = username === undefined ? '' : `${user}${secret}@`;
  return `${isHttps ? 'https' : 'http'}://${login}${host.includes(':') ? `[${host}]` : host}:${port}`;
}
