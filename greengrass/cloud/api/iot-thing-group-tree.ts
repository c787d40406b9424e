/** AWS IoT: the tree that static thing groups are, and how answers name its groups. */
import type { ThingGroup } from '../store/thing-groups.js';
import type { ApiContext } from './context.js';
import { refusal } from './errors.js';
import { registryName } from './iot-names.js';
import type { Call } from './operation.js';

export class ThingGroupTree {
  readonly #context: ApiContext;

  constructor(context: ApiContext) {
    this.#context = context;
  }

  /** Throws ResourceNotFoundException where there is none. */
  async find(name: string): Promise<ThingGroup> {
    const group = await this.#context.store.thingGroups.find(name);
    if (!group) throw refusal('ResourceNotFoundException', `Thing group ${name} does not exist`);
    return group;
  }

  /** From the root to the group itself. */
  async pathTo(name: string): Promise<ThingGroup[]> {
    const group = await this.find(name);
    return [...(group.parentName === undefined ? [] : await this.pathTo(group.parentName)), group];
  }

  async all(): Promise<ThingGroup[]> {
    const { thingGroups } = this.#context.store;
    const found: ThingGroup[] = [];
    for (let some = await thingGroups.list(1000); some.length > 0; ) {
      found.push(...some);
      some = await thingGroups.list(1000, some.at(-1)?.name);
    }
    return found;
  }

  /** Those whose parent it is, or all further down too. */
  async below(name: string, isRecursive: boolean): Promise<ThingGroup[]> {
    const children = await this.#context.store.thingGroups.childrenOf((await this.find(name)).name);
    if (!isRecursive) return children;
    const deeper = await Promise.all(children.map((child) => this.below(child.name, true)));
    return [...children, ...deeper.flat()];
  }

  /** What answers say of a group of their own. */
  identify({ name, groupId }: ThingGroup): object {
    return { thingGroupName: name, thingGroupArn: this.#arn(name), thingGroupId: groupId };
  }

  /** What lists say of it. */
  name({ name }: ThingGroup): object {
    return { groupName: name, groupArn: this.#arn(name) };
  }

  #arn(name: string): string {
    return `arn:aws:iot:${this.#context.region}:${this.#context.accountId}:thinggroup/${name}`;
  }
}

/** The group's name in the path. */
export function groupNameOf(call: Call): string {
  return registryName(call.param('thingGroupName'), 'thingGroupName');
}
