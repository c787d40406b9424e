/** AWS IoT: which things are in which static thing groups. */
import { CheckError, z } from '../../lib/check.js';
import type { ThingGroup } from '../store/thing-groups.js';
import type { ApiContext } from './context.js';
import { refusal } from './errors.js';
import { nextPage, registryName, thingNameOf } from './iot-names.js';
import { groupNameOf, ThingGroupTree } from './iot-thing-group-tree.js';
import type { Call, Operation } from './operation.js';
import { IOT_PAGES, page, pageOf } from './paging.js';

/** AWS's limit. */
const MOST_GROUPS_OF_THING = 10;

/** Either names or ARNs. */
const membership = z.object({
  thingGroupName: z.string().optional(),
  thingGroupArn: z.string().optional(),
  thingName: z.string().optional(),
  thingArn: z.string().optional(),
});

export function thingGroupMemberOperations(context: ApiContext): Operation[] {
  const members = new Members(context);
  const all = '/thing-groups';
  return [
    {
      name: 'AddThingToThingGroup',
      method: 'PUT',
      path: `${all}/addThingToThingGroup`,
      handle: (call) => members.add(call),
    },
    {
      name: 'RemoveThingFromThingGroup',
      method: 'PUT',
      path: `${all}/removeThingFromThingGroup`,
      handle: (call) => members.remove(call),
    },
    {
      name: 'ListThingsInThingGroup',
      method: 'GET',
      path: `${all}/:thingGroupName/things`,
      handle: (call) => members.list(call),
    },
    {
      name: 'ListThingGroupsForThing',
      method: 'GET',
      path: '/things/:thingName/thing-groups',
      handle: (call) => members.groupsOf(call),
    },
  ];
}

class Members {
  readonly #context: ApiContext;
  readonly #tree: ThingGroupTree;

  constructor(context: ApiContext) {
    this.#context = context;
    this.#tree = new ThingGroupTree(context);
  }

  async add(call: Call): Promise<object> {
    const { groupName, thingName } = await this.#membership(call);
    const { thingGroups } = this.#context.store;
    const others = (await thingGroups.groupsOf(thingName)).filter(({ name }) => name !== groupName);
    if (others.length >= MOST_GROUPS_OF_THING) {
      throw refusal(
        'InvalidRequestException',
        `Thing ${thingName} is in ${MOST_GROUPS_OF_THING} thing groups, and may be in no more`,
      );
    }
    await thingGroups.addThing(groupName, thingName);
    return {};
  }

  async remove(call: Call): Promise<object> {
    const { groupName, thingName } = await this.#membership(call);
    await this.#context.store.thingGroups.removeThing(groupName, thingName);
    return {};
  }

  async list(call: Call): Promise<object> {
    const { name } = await this.#tree.find(groupNameOf(call));
    const { thingGroups } = this.#context.store;
    const isRecursive = call.query('recursive') === 'true';
    const names = [
      name,
      ...(isRecursive ? await this.#tree.below(name, true) : []).map((group) => group.name),
    ];
    const { items, next } = await page(call, {
      scope: `thing-groups/${name}/things/${isRecursive}`,
      names: IOT_PAGES,
      fetch: async (limit, after) => {
        const lists = await Promise.all(names.map((one) => thingGroups.thingsOf(one, limit, after)));
        return [...new Set(lists.flat())].sort().slice(0, limit);
      },
      keyOf: (thingName) => thingName,
    });
    return { things: items, ...nextPage('nextToken', next) };
  }

  async groupsOf(call: Call): Promise<object> {
    const thingName = thingNameOf(call);
    await this.#checkThing(thingName);
    const found = await this.#context.store.thingGroups.groupsOf(thingName);
    const paging = {
      scope: `things/${thingName}/thing-groups`,
      names: IOT_PAGES,
      keyOf: ({ name }: ThingGroup) => name,
    };
    const { items, next } = await pageOf(call, paging, found);
    return { thingGroups: items.map((group) => this.#tree.name(group)), ...nextPage('nextToken', next) };
  }

  async #membership(call: Call): Promise<{ groupName: string; thingName: string }> {
    const { thingGroupName, thingGroupArn, thingName, thingArn } = call.json(membership);
    const groupName = namedBy(thingGroupName, thingGroupArn, 'thingGroup', 'thinggroup');
    const ofThing = namedBy(thingName, thingArn, 'thing', 'thing');
    await this.#tree.find(groupName);
    await this.#checkThing(ofThing);
    return { groupName, thingName: ofThing };
  }

  async #checkThing(thingName: string): Promise<void> {
    if (await this.#context.store.things.find(thingName)) return;
    throw refusal('ResourceNotFoundException', `Thing ${thingName} does not exist`);
  }
}

function namedBy(name: string | undefined, arn: string | undefined, member: string, kind: string): string {
  if (name !== undefined) return registryName(name, `${member}Name`);
  if (arn === undefined) {
    throw new CheckError('The request is invalid', [{ path: `${member}Name`, rule: 'is missing' }]);
  }
  const match = new RegExp(`^arn:aws:iot:[^:]*:[^:]*:${kind}/(.+)$`).exec(arn);
  return registryName(match?.[1] ?? arn, `${member}Arn`);
}
