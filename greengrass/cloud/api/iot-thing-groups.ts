/** AWS IoT: static thing groups, as they are made, changed and listed. */
import { randomUUID } from 'node:crypto';
import { z } from '../../lib/check.js';
import { ConflictError } from '../store/store.js';
import type { ThingGroup } from '../store/thing-groups.js';
import type { ApiContext } from './context.js';
import { refusal } from './errors.js';
import { epochSeconds, nextPage } from './iot-names.js';
import { groupNameOf, ThingGroupTree } from './iot-thing-group-tree.js';
import { attributePayload, mergeAttributes } from './iot-things.js';
import type { Call, Operation } from './operation.js';
import { IOT_PAGES, pageOf } from './paging.js';

/** AWS's limit. */
const MOST_LEVELS = 7;

const properties = z
  .object({
    thingGroupDescription: z.string().max(2028).optional(),
    attributePayload: attributePayload.optional(),
  })
  .optional();
const creation = z.object({ parentGroupName: z.string().optional(), thingGroupProperties: properties });
const update = z.object({ thingGroupProperties: properties, expectedVersion: z.number().int().optional() });
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
  ];
}

class ThingGroups {
  readonly #context: ApiContext;
  readonly #tree: ThingGroupTree;

  constructor(context: ApiContext) {
    this.#context = context;
    this.#tree = new ThingGroupTree(context);
  }

  /** The same group again is no error; one of the same name with other properties is. */
  async create(call: Call): Promise<object> {
    const name = groupNameOf(call);
    const { parentGroupName: parentName, thingGroupProperties: given } = call.json(creation);
    if (parentName !== undefined && (await this.#tree.pathTo(parentName)).length >= MOST_LEVELS) {
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
      return this.#tree.identify(group);
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error;
    }
    const existing = await this.#tree.find(name);
    const isSame = existing.parentName === parentName && sameProperties(existing, group);
    if (isSame) return this.#tree.identify(existing);
    throw refusal(
      'ResourceAlreadyExistsException',
      `Thing group ${name} already exists in account with different properties`,
    );
  }

  async describe(call: Call): Promise<object> {
    const group = await this.#tree.find(groupNameOf(call));
    const { parentName } = group;
    const path = parentName === undefined ? [] : await this.#tree.pathTo(parentName);
    return {
      ...this.#tree.identify(group),
      version: group.version,
      thingGroupProperties: propertiesOf(group),
      thingGroupMetadata: {
        ...(parentName === undefined ? {} : { parentGroupName: parentName }),
        rootToParentThingGroups: path.map((one) => this.#tree.name(one)),
        creationDate: epochSeconds(group.createdAt),
      },
    };
  }

  async update(call: Call): Promise<object> {
    const group = await this.#tree.find(groupNameOf(call));
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
    const name = groupNameOf(call);
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
    const candidates =
      parent === undefined ? await this.#tree.all() : await this.#tree.below(parent, isRecursive);
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
    return { thingGroups: items.map((group) => this.#tree.name(group)), ...nextPage('nextToken', next) };
  }
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
