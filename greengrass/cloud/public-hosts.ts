/** Under which names and addresses the cloud is reached: what its certificate holds, and what cores are told. */
import { hostname, networkInterfaces } from 'node:os';
import { addressKind } from '../lib/network-addresses.js';

/** The names that the server's certificate is good for, each once. */
export function certificateHosts(host: string, publicHosts: readonly string[]): string[] {
  const own = isWildcard(host) ? networkAddresses() : [host];
  return [...new Set(['localhost', '127.0.0.1', '::1', hostname(), ...own, ...publicHosts])];
}

/** Where cores and devices connect: what the operator named, else an address that other machines reach too. */
export function hostForDevices(host: string, publicHosts: readonly string[]): string {
  return publicHosts[0] ?? (isWildcard(host) ? (networkAddresses()[0] ?? '127.0.0.1') : host);
}

/** Where a client on this machine connects. */
export function hostForThisMachine(host: string): string {
  return isWildcard(host) ? '127.0.0.1' : host;
}

function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}

/** Of this machine, those that other machines reach; IPv4 first. */
function networkAddresses(): string[] {
  return Object.entries(networkInterfaces())
    .flatMap(([name, addresses]) => (addresses ?? []).map((address) => ({ ...address, name })))
    .filter(({ name, address, internal }) => addressKind(name, address, internal) === 'network')
    .sort((one, other) => Number(one.family === 'IPv6') - Number(other.family === 'IPv6'))
    .map(({ address }) => address);
}
