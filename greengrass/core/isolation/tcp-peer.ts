/**
 * Who is at the other end of a loopback connection: the kernel lists every TCP socket with its inode, and the open files
 * of a process name the inodes it holds. A connection is a worker's only where one of its own processes holds it.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** Whether one of `pids` holds the client's end of the connection `clientPort` → `serverPort` of 127.0.0.1. */
export function holdsConnection(pids: readonly number[], clientPort: number, serverPort: number): boolean {
  const inode = clientInode(readFileSync('/proc/net/tcp', 'latin1'), clientPort, serverPort);
  if (inode === undefined) return false;
  const wanted = `socket:[${inode}]`;
  return pids.some((pid) => openFiles(pid).includes(wanted));
}

/** Inode of the client's socket; undefined where nobody holds it any more. `table` is the text of /proc/net/tcp. */
function clientInode(table: string, clientPort: number, serverPort: number): string | undefined {
  // "sl: local remote state queues timer retransmits uid timeout inode"; addresses as the machine keeps them.
  const local = `:${hexPort(clientPort)}`;
  const remote = `:${hexPort(serverPort)}`;
  for (const line of table.split('\n')) {
    const fields = line.trim().split(/\s+/);
    if (!isLoopback(fields[1], local) || !isLoopback(fields[2], remote)) continue;
    const inode = fields[9];
    return inode === undefined || inode === '0' ? undefined : inode;
  }
  return undefined;
}

function isLoopback(address: string | undefined, port: string): boolean {
  return address === `0100007F${port}` || address === `7F000001${port}`;
}

function hexPort(port: number): string {
  return port.toString(16).toUpperCase().padStart(4, '0');
}

/** What the descriptors of a process point to; none where it is gone. */
function openFiles(pid: number): string[] {
  const folder = `/proc/${pid}/fd`;
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return [];
  }
  return names.flatMap((name) => {
    try {
      return [readlinkSync(`${folder}/${name}`)];
    } catch {
      // Closed meanwhile.
      return [];
    }
  });
}

/** Processes of the session that `leader` leads; its own id included. */
export function sessionMembers(leader: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => sessionOf(pid) === leader);
}

function sessionOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name in parentheses may hold anything; state, parent, group and session follow it.
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[3]);
  } catch {
    return undefined;
  }
}
