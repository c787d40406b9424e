/** Addresses of this host, and which of them are worth telling a device of. */
import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os';
import { type AddressKind, addressKind } from '../../lib/network-addresses.js';

/** The service keeps ten endpoints of a core, and a server certificate names as many hosts of it. */
export const MAX_ADDRESSES = 10;

/** What is told beside the addresses of the network, where the operator asked for it. */
export interface Wanted {
  readonly loopback?: boolean;
  readonly linkLocal?: boolean;
  readonly containers?: boolean;
}

type Interfaces = Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>;

interface Found {
  readonly address: string;
  readonly kind: AddressKind;
}

function found(interfaces: Interfaces): Found[] {
  return Object.entries(interfaces).flatMap(([name, list]) =>
    (list ?? []).map(({ address, internal }) => ({ address, kind: addressKind(name, address, internal) })),
  );
}

/** For devices. A host with nothing but loopback tells that: its devices run on it. */
export function toldAddresses(wanted: Wanted, interfaces: Interfaces = networkInterfaces()): string[] {
  const all = found(interfaces);
  const told = all.filter(({ kind }) => kind === 'network' || wanted[kind]);
  const chosen = told.length > 0 ? told : all.filter(({ kind }) => kind === 'loopback');
  return [...new Set(chosen.map(({ address }) => address))].slice(0, MAX_ADDRESSES);
}

/** For the server certificate: whatever a client may come in by, those of the network first. */
export function hostAddresses(interfaces: Interfaces = networkInterfaces()): string[] {
  const order: readonly AddressKind[] = ['network', 'loopback', 'containers'];
  const all = found(interfaces);
  const sorted = order.flatMap((kind) => all.filter((one) => one.kind === kind));
  return [...new Set(sorted.map(({ address }) => address))].slice(0, MAX_ADDRESSES);
}
