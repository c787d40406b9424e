/** Names and addresses that a server certificate can be made for. Pure. */
import { isIP } from 'node:net';

const HOST_NAME = /^(?=.{1,253}$)[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,62})(\.[a-zA-Z0-9_-]{1,63})*$/;
/** More names in one certificate help nobody. */
const MAX_HOSTS = 32;

/** Those of `hosts` that can stand in a certificate, each once, in their order. */
export function certifiableHosts(hosts: readonly string[]): string[] {
  return [...new Set(hosts)].filter(isCertifiable).slice(0, MAX_HOSTS);
}

/** A host name, or an IP address without a zone. */
export function isCertifiable(host: string): boolean {
  // The zone of a link-local address means something on its own host only.
  return isIP(host) === 0 ? HOST_NAME.test(host) : !host.includes('%');
}
