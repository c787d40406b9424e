/**
 * What a container was given by path (volumes, devices), and whether the paths still mean the same. A container that stands
 * ready keeps what it was made with; by the time that it is used a disk may have come or gone, a folder may be another one,
 * a device may have been plugged in again.
 */
import { lstatSync, readFileSync } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import type { DeviceNode } from './container-spec.js';
import { type HeldVolume, mountsOf } from './rootfs.js';
import type { Given } from './worker-process.js';

/** A network disk whose server is gone answers never; what waits for it would wait as long. */
const LOOK_LIMIT_MS = 5_000;

export interface GivenFacts {
  /** As they were before they were mounted: what changes while they are counts as changed since. */
  readonly volumes: ReadonlyArray<Pick<HeldVolume, 'path' | 'source' | 'identity'>>;
  readonly deviceNodes: readonly DeviceNode[];
  /** The nodes as they are now; throws where one is no device any more. */
  readonly lookAtDevices: () => readonly DeviceNode[];
  /** What workers must not see: a cover lies on the file that was there, not on one that takes its place. */
  readonly hiddenPaths: readonly string[];
}

/** What was given; undefined where nothing was that could change. Call it while the volumes are held. */
export function givenOf(facts: GivenFacts): Given | undefined {
  const { volumes, deviceNodes } = facts;
  if (volumes.length === 0 && deviceNodes.length === 0) return undefined;
  const mounts = mountsBelow(volumes);
  const hidden = identities(facts);
  const mountsChanged = () => mountsBelow(volumes) !== mounts;
  return {
    mountsChanged,
    isCurrent: async () => {
      try {
        if (mountsChanged()) return false;
        if (JSON.stringify(facts.lookAtDevices()) !== JSON.stringify(deviceNodes)) return false;
        if (identities(facts) !== hidden) return false;
        const same = await inTime(Promise.all(volumes.map(isSame)), LOOK_LIMIT_MS);
        return same.every((each) => each);
      } catch (error) {
        if (error instanceof NoAnswer) throw error;
        // Not there any more, or not to be looked at: the next start says what is wrong.
        return false;
      }
    },
  };
}

class NoAnswer extends Error {}

async function inTime<T>(looks: Promise<T>, limitMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    const text = `unable to start lambda container: a volume did not answer for ${limitMs / 1000} s`;
    timer = setTimeout(() => reject(new NoAnswer(text)), limitMs);
  });
  try {
    return await Promise.race([looks, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** In the lines of the kernel: a disk that was taken out and put back is another mount of the same device. */
function mountsBelow(volumes: GivenFacts['volumes']): string {
  if (volumes.length === 0) return '';
  const mountinfo = readFileSync('/proc/self/mountinfo', 'utf8');
  return volumes.map(({ source }) => mountsOf(source, mountinfo).join('\n')).join('\n\n');
}

async function isSame({ path, source, identity }: GivenFacts['volumes'][number]): Promise<boolean> {
  const [real, { dev, ino }] = await Promise.all([realpath(path), stat(path, { bigint: true })]);
  return real === source && `${dev}:${ino}` === identity;
}

/** Only volumes can show them anew; the container's root does not change. They are the core's own: no disk to wait for. */
function identities({ volumes, hiddenPaths }: GivenFacts): string {
  if (volumes.length === 0) return '';
  const found = hiddenPaths.map((path) => lstatSync(path, { bigint: true, throwIfNoEntry: false }));
  return found.map((stat) => (stat ? `${stat.dev}:${stat.ino}` : '')).join();
}
