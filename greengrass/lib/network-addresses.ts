/** What an address of this machine is good for. Pure. */

/** Networks that end on this host: of container engines, of virtual machines, and their cables. */
const INNER_NETWORKS = /^(docker|br-|veth|virbr|vnet|cni|cali|flannel|lxc|lxd|podman|kube)/;

export type AddressKind = 'network' | 'loopback' | 'linkLocal' | 'containers';

/** `name` is the interface's; `internal` as in `os.networkInterfaces()`. Only `network` is reached from other machines. */
export function addressKind(name: string, address: string, internal: boolean): AddressKind {
  if (internal) return 'loopback';
  if (/^fe[89ab][0-9a-f]:/i.test(address) || address.startsWith('169.254.')) return 'linkLocal';
  return INNER_NETWORKS.test(name) ? 'containers' : 'network';
}
