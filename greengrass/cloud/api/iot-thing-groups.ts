/** AWS IoT: static thing groups, a tree of them, and the things inside. */
import { randomUUID } from 'node:crypto';
import { CheckError, z } from '../../lib/check.js';
import { ConflictError } from '../store/store.js';
import type { ThingGroup } from '../store/thing-groups.js';
import type { ApiContext } from './context.js';
import { refusal } from './errors.js';
import { epochSeconds, nextPage, registryName, thingNameOf } from './iot-names.js';
import { attributePayload, mergeAttributes } from './iot-things.js';
import type { Call, Operation } from './operation.js';
import { IOT_PAGES, page, pageOf } from './paging.js';

/** AWS's limits. */
const MOST_GROUPS_OF_THING = 10;
const MOST_LEVELS = 7;

const properties = z
  .object({
    thingGroupDescription: z.string().max(2028).optional(),
    attributePayload: attributePayload.optional(),
  })
  .optional();
const creation = z.object({ parentGroupName: z.string().optional(), thingGroupProperties: properties });
const update = z.object({ thingGroupProperties: properties, expectedVersion: z.number().int().optional() });
/** Either names or ARNs. */
const membership = z.object({
  thingGroupName: z.string().optional(),
  thingGroupArn: z.string().optional(),
  thingName: z.string().optional(),
  thingArn: z.string().optional(),
});

export function thingGroupOperations(context: ApiContext): Operation[] {
  const groups = new ThingGroups(context);
  const all = '/thing-groups';
  const one = `${all}/:thingGroupName`;
  return [
    { name: 'CreateThingGroup', method: 'POST', path: one, handle: (call) => groups.create(call) },
    { name: 'DescribeThingGroup', method: 'GET', path: one, handle: (call) => groups.describe(call) },
    { name: 'UpdateThingGroup', method: 'PATCH', path: one, handle: (call) => groups.update(call) },
    { name: 'DeleteThingGroup', method: 'DELETE', path: one, handle: (call) => groups.delete(call) },
    { name: 'ListThingGroups', method: 'GET', path: all, handle: (call) => groups.list(call) },
    {
      name: 'AddThingToThingGroup',
      method: 'PUT',
      path: `${all}/addThingToThingGroup`,
      handle: (call) => groups.addThing(call),
    },
    {
      name: 'RemoveThingFromThingGroup',
      method: 'PUT',
      path: `${all}/removeThingFromThingGroup`,
      handle: (call) => groups.removeThing(call),
    },
    {
      name: 'ListThingsInThingGroup',
      method: 'GET',
      path: `${one}/things`,
      handle: (call) => groups.things(call),
    },
    {
      name: 'ListThingGroupsForThing',
      method: 'GET',
      path: '/things/:thingName/thing-groups',
      handle: (call) => groups.ofThing(call),
    },
  ];
}

class ThingGroups {
  readonly #context: ApiContext;

  constructor(context: ApiContext) {
    this.#context = context;
  }

  /** The same group again is no error; one of the same name with other properties is. */
  async create(call: Call): Promise<object> {
    const name = nameOf(call);
    const { parentGroupName: parentName, thingGroupProperties: given } = call.json(creation);
    if (parentName !== undefined && (await this.#pathTo(parentName)).length >= MOST_LEVELS) {
      throw refusal(
        'InvalidRequestException',
        `Thing groups may be nested ${MOST_LEVELS} levels deep at most`,
      );
    }
    const description = given?.thingGroupDescription;
    const group: ThingGroup = {
      name,
      groupId: randomUUID(),
      ...(parentName === undefined ? {} : { parentName }),
      ...(description === undefined ? {} : { description }),
      attributes: mergeAttributes({}, given?.attributePayload),
      version: 1,
      createdAt: new Date().toISOString(),
    };
    try {
      await this.#context.store.thingGroups.create(group);
      return this.#identify(group);
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error;
    }
    const existing = await this.#find(name);
    const isSame = existing.parentName === parentName && sameProperties(existing, group);
    if (isSame) return this.#identify(existing);
    throw refusal(
      'ResourceAlreadyExistsException',
      `Thing group ${name} already exists in account with different properties`,
    );
  }

  async describe(call: Call): Promise<object> {
    const group = await this.#find(nameOf(call));
    const { parentName } = group;
    const path = parentName === undefined ? [] : await this.#pathTo(parentName);
    return {
      ...this.#identify(group),
      version: group.version,
      thingGroupProperties: propertiesOf(group),
      thingGroupMetadata: {
        ...(parentName === undefined ? {} : { parentGroupName: parentName }),
        rootToParentThingGroups: path.map((one) => this.#name(one)),
        creationDate: epochSeconds(group.createdAt),
      },
    };
  }

  async update(call: Call): Promise<object> {
    const group = await this.#find(nameOf(call));
    const { thingGroupProperties: given, expectedVersion } = call.json(update);
    checkVersion(group, expectedVersion);
    const description = given?.thingGroupDescription ?? group.description;
    const next: ThingGroup = {
      ...group,
      ...(description === undefined ? {} : { description }),
      attributes: mergeAttributes(group.attributes, given?.attributePayload),
      version: group.version + 1,
    };
    if (!(await this.#context.store.thingGroups.update(next))) throw conflict(group.name);
    return { version: next.version };
  }

  /** A group that does not exist is as good as deleted. */
  async delete(call: Call): Promise<object> {
    const name = nameOf(call);
    const { thingGroups } = this.#context.store;
    const group = await thingGroups.find(name);
    if (!group) return {};
    const expected = call.query('expectedVersion');
    checkVersion(group, expected === undefined ? undefined : Number(expected));
    if (await thingGroups.delete(name)) return {};
    throw refusal('InvalidRequestException', `Cannot delete thing group ${name}: it has child groups`);
  }

  /** Below `parentGroup` (directly, or at any depth with `recursive`), with the prefix, or all. */
  async list(call: Call): Promise<object> {
    const parent = call.query('parentGroup');
    const prefix = call.query('namePrefixFilter') ?? '';
    const isRecursive = call.query('recursive') !== 'false';
    const candidates = parent === undefined ? await this.#all() : await this.#below(parent, isRecursive);
    const found = candidates.filter(({ name, parentName }) => {
      const isListed = parent !== undefined || isRecursive || parentName === undefined;
      return isListed && name.startsWith(prefix);
    });
    found.sort((one, other) => (one.name < other.name ? -1 : 1));
    const paging = {
      scope: `thing-groups/${parent ?? ''}/${prefix}`,
      names: IOT_PAGES,
      keyOf: ({ name }: ThingGroup) => name,
    };
    const { items, next } = await pageOf(call, paging, found);
    return { thingGroups: items.map((group) => this.#name(group)), ...nextPage('nextToken', next) };
  }

  async addThing(call: Call): Promise<object> {
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

  async removeThing(call: Call): Promise<object> {
    const { groupName, thingName } = await this.#membership(call);
    await this.#context.store.thingGroups.removeThing(groupName, thingName);
    return {};
  }

  async things(call: Call): Promise<object> {
    const { name } = await this.#find(nameOf(call));
    const { thingGroups } = this.#context.store;
    const isRecursive = call.query('recursive') === 'true';
    const names = [name, ...(isRecursive ? await this.#below(name, true) : []).map((group) => group.name)];
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

  async ofThing(call: Call): Promise<object> {
    const thingName = thingNameOf(call);
    await this.#checkThing(thingName);
    const found = await this.#context.store.thingGroups.groupsOf(thingName);
    const paging = {
      scope: `things/${thingName}/thing-groups`,
      names: IOT_PAGES,
      keyOf: ({ name }: ThingGroup) => name,
    };
    const { items, next } = await pageOf(call, paging, found);
    return { thingGroups: items.map((group) => this.#name(group)), ...nextPage('nextToken', next) };
  }

  async #membership(call: Call): Promise<{ groupName: string; thingName: string }> {
    const { thingGroupName, thingGroupArn, thingName, thingArn } = call.json(membership);
    const groupName = namedBy(thingGroupName, thingGroupArn, 'thingGroup', 'thinggroup');
    const ofThing = namedBy(thingName, thingArn, 'thing', 'thing');
    await this.#find(groupName);
    await this.#checkThing(ofThing);
    return { groupName, thingName: ofThing };
  }

  async #checkThing(thingName: string): Promise<void> {
    if (await this.#context.store.things.find(thingName)) return;
    throw refusal('ResourceNotFoundException', `Thing ${thingName} does not exist`);
  }

  async #find(name: string): Promise<ThingGroup> {
    const group = await this.#context.store.thingGroups.find(name);
    if (!group) throw refusal('ResourceNotFoundException', `Thing group ${name} does not exist`);
    return group;
  }

  /** From the root to the group itself. */
  async #pathTo(name: string): Promise<ThingGroup[]> {
    const group = await this.#find(name);
    return [...(group.parentName === undefined ? [] : await this.#pathTo(group.parentName)), group];
  }

  async #all(): Promise<ThingGroup[]> {
    const { thingGroups } = this.#context.store;
    const found: ThingGroup[] = [];
    for (let some = await thingGroups.list(1000); some.length > 0; ) {
      found.push(...some);
      some = await thingGroups.list(1000, some.at(-1)?.name);
    }
    return found;
  }

  async #below(name: string, isRecursive: boolean): Promise<ThingGroup[]> {
    const children = await this.#context.store.thingGroups.childrenOf((await this.#find(name)).name);
    if (!isRecursive) return children;
    const deeper = await Promise.all(children.map((child) => this.#below(child.name, true)));
    return [...children, ...deeper.flat()];
  }

  #identify({ name, groupId }: ThingGroup): object {
    return { thingGroupName: name, thingGroupArn: this.#arn(name), thingGroupId: groupId };
  }

  #name({ name }: ThingGroup): object {
    return { groupName: name, groupArn: this.#arn(name) };
  }

  #arn(name: string): string {
    return `arn:aws:iot:${this.#context.region}:${this.#context.accountId}:thinggroup/${name}`;
  }
}

function nameOf(call: Call): string {
  return registryName(call.param('thingGroupName'), 'thingGroupName');
}

function namedBy(name: string | undefined, arn: string | undefined, member: string, kind: string): string {
  if (name !== undefined) return registryName(name, `${member}Name`);
  if (arn === undefined) {
    throw new CheckError('The request is invalid', [{ path: `${member}Name`, rule: 'is missing' }]);
  }
  const match = new RegExp(`^arn:aws:iot:[^:]*:[^:]*:${kind}/(.+)$`).exec(arn);
  return registryName(match?.[1] ?? arn, `${member}Arn`);
}

function propertiesOf({ description, attributes }: ThingGroup): object {
  return {
    ...(description === undefined ? {} : { thingGroupDescription: description }),
    attributePayload: { attributes },
  };
}

function sameProperties(one: ThingGroup, other: ThingGroup): boolean {
  const text = ({ description, attributes }: ThingGroup) =>
    JSON.stringify([description, Object.entries(attributes).sort()]);
  return text(one) === text(other);
}

function checkVersion({ name, version }: ThingGroup, expected: number | undefined): void {
  if (expected !== undefined && expected !== version) throw conflict(name);
}

function conflict(name: string) {
  return refusal(
    'VersionConflictException',
    `The version for thing group ${name} does not match the expected version.`,
  );
}
