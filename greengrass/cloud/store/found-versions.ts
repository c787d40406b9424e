/** Versions never change: what was found of them is found again without asking, as long as one deployment is made. */
import type { Container, ContainerStore, ContainerVersion } from './store.js';

export type VersionSource = Pick<ContainerStore, 'findVersion'>;

export class FoundVersions implements VersionSource {
  readonly #found = new Map<string, ContainerVersion>();

  constructor(private readonly source: VersionSource) {}

  add(version: ContainerVersion): void {
    this.#found.set(keyOf(version.kind, version.id, version.version), version);
  }

  async findVersion(
    kind: Container['kind'],
    id: string,
    version: string,
  ): Promise<ContainerVersion | undefined> {
    const known = this.#found.get(keyOf(kind, id, version));
    if (known) return known;
    const found = await this.source.findVersion(kind, id, version);
    if (found) this.add(found);
    return found;
  }
}

function keyOf(kind: string, id: string, version: string): string {
  return `${kind} ${id} ${version}`;
}
