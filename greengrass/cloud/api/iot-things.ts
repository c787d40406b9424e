/** AWS IoT: things and their principals. */
import { randomUUID } from 'node:crypto';
import { z } from '../../lib/check.js';
import { certificateArn, thingArn } from '../../model/arn.js';
import type { Thing, ThingFilter } from '../store/store.js';
import { ConflictError } from '../store/store.js';
import type { ApiContext } from './context.js';
import { refusal } from './errors.js';
import { certificateIdOfPrincipal, nextPage, thingNameOf } from './iot-names.js';
import { checkThingType } from './iot-thing-types.js';
import type { Call, Operation } from './operation.js';
import { IOT_PAGES, page, pageOf } from './paging.js';

const attributes = z
  .record(
    z.string().regex(/^[a-zA-Z0-9_.,@/:#-]{1,128}$/, 'is not the name of an attribute'),
    z.string().regex(/^[a-zA-Z0-9_.,@/:#=[\]-]{0,800}$/, 'is not the value of an attribute'),
  )
  .refine((map) => Object.keys(map).length <= 50, 'at most 50 attributes');

export const attributePayload = z.object({
  attributes: attributes.optional(),
  merge: z.boolean().optional(),
});
const creation = z.object({
  thingTypeName: z
    .string()
    .regex(/^[a-zA-Z0-9:_-]{1,128}$/)
    .optional(),
  attributePayload: attributePayload.optional(),
});
const update = creation.extend({
  expectedVersion: z.number().int().optional(),
  removeThingType: z.boolean().optional(),
});

export function thingOperations(context: ApiContext): Operation[] {
  const things = new Things(context);
  const one = '/things/:thingName';
  const principals = `${one}/principals`;
  return [
    { name: 'CreateThing', method: 'POST', path: one, handle: (call) => things.create(call) },
    { name: 'DescribeThing', method: 'GET', path: one, handle: (call) => things.describe(call) },
    { name: 'UpdateThing', method: 'PATCH', path: one, handle: (call) => things.update(call) },
    { name: 'DeleteThing', method: 'DELETE', path: one, handle: (call) => things.delete(call) },
    { name: 'ListThings', method: 'GET', path: '/things', handle: (call) => things.list(call) },
    {
      name: 'AttachThingPrincipal',
      method: 'PUT',
      path: principals,
      handle: (call) => things.attachPrincipal(call),
    },
    {
      name: 'DetachThingPrincipal',
      method: 'DELETE',
      path: principals,
      handle: (call) => things.detachPrincipal(call),
    },
    {
      name: 'ListThingPrincipals',
      method: 'GET',
      path: principals,
      handle: (call) => things.principals(call),
    },
    {
      name: 'ListPrincipalThings',
      method: 'GET',
      path: '/principals/things',
      handle: (call) => things.ofPrincipal(call),
    },
  ];
}

class Things {
  readonly #context: ApiContext;

  constructor(context: ApiContext) {
    this.#context = context;
  }

  /** The same thing again is no error; one of the same name with other attributes is. */
  async create(call: Call): Promise<object> {
    const thingName = thingNameOf(call);
    const { thingTypeName, attributePayload: given } = call.json(creation);
    const { region, accountId, store } = this.#context;
    if (thingTypeName !== undefined) await checkThingType(this.#context, thingTypeName);
    const thing: Thing = {
      thingName,
      thingId: randomUUID(),
      thingArn: thingArn(region, accountId, thingName),
      attributes: given?.attributes ?? {},
      ...(thingTypeName === undefined ? {} : { thingTypeName }),
      version: 1,
      createdAt: new Date().toISOString(),
    };
    try {
      await store.things.create(thing);
      return identify(thing);
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error;
    }
    const existing = await store.things.find(thingName);
    if (existing && isSameThing(existing, thing)) return identify(existing);
    throw refusal(
      'ResourceAlreadyExistsException',
      `Thing ${thingName} already exists in account with different attributes`,
    );
  }

  async describe(call: Call): Promise<object> {
    const thing = await this.#find(call);
    return { defaultClientId: thing.thingName, ...identify(thing), ...describeState(thing) };
  }

  async update(call: Call): Promise<object> {
    const body = call.json(update);
    const thing = await this.#find(call);
    checkVersion(thing, body.expectedVersion);
    const { thingTypeName = thing.thingTypeName } = body;
    if (thingTypeName !== undefined && thingTypeName !== thing.thingTypeName) {
      await checkThingType(this.#context, thingTypeName);
    }
    await this.#context.store.things.update({
      thingName: thing.thingName,
      thingId: thing.thingId,
      thingArn: thing.thingArn,
      attributes: mergeAttributes(thing.attributes, body.attributePayload),
      ...(thingTypeName === undefined || body.removeThingType ? {} : { thingTypeName }),
      version: thing.version + 1,
      createdAt: thing.createdAt,
    });
    return {};
  }

  /** A thing that does not exist is as good as deleted. */
  async delete(call: Call): Promise<object> {
    const thingName = thingNameOf(call);
    const { things } = this.#context.store;
    const thing = await things.find(thingName);
    if (!thing) return {};
    const expected = call.query('expectedVersion');
    checkVersion(thing, expected === undefined ? undefined : Number(expected));
    if ((await things.principalsOf(thingName)).length > 0) {
      throw refusal(
        'InvalidRequestException',
        `Cannot delete. Thing ${thingName} is still attached to one or more principals`,
      );
    }
    await things.delete(thingName);
    await this.#context.jobs.removeThing(thingName);
    return {};
  }

  async list(call: Call): Promise<object> {
    const filter = filterOf(call);
    const { items, next } = await page(call, {
      scope: `things ${JSON.stringify(filter)}`,
      names: IOT_PAGES,
      fetch: (limit, after) => this.#context.store.things.list(limit, after, filter),
      keyOf: ({ thingName }) => thingName,
    });
    return {
      things: items.map((thing) => ({
        thingName: thing.thingName,
        thingArn: thing.thingArn,
        ...describeState(thing),
      })),
      ...nextPage('nextToken', next),
    };
  }

  async attachPrincipal(call: Call): Promise<object> {
    const certificateId = certificateIdOfPrincipal(call.header('x-amzn-principal'), 'principal');
    const { thingName } = await this.#find(call);
    if (!(await this.#context.store.certificates.find(certificateId))) {
      throw refusal('ResourceNotFoundException', `Certificate ${certificateId} does not exist`);
    }
    await this.#context.store.things.attachPrincipal(thingName, certificateId);
    await this.#context.deviceNotices.thingChanged(thingName);
    return {};
  }

  async detachPrincipal(call: Call): Promise<object> {
    const certificateId = certificateIdOfPrincipal(call.header('x-amzn-principal'), 'principal');
    const { thingName } = await this.#find(call);
    await this.#context.store.things.detachPrincipal(thingName, certificateId);
    await this.#context.deviceNotices.thingChanged(thingName);
    return {};
  }

  async principals(call: Call): Promise<object> {
    const { thingName } = await this.#find(call);
    const { region, accountId, store } = this.#context;
    const ids = await store.things.principalsOf(thingName);
    const paging = { scope: `principals/${thingName}`, names: IOT_PAGES, keyOf: (id: string) => id };
    const { items, next } = await pageOf(call, paging, ids);
    return {
      principals: items.map((id) => certificateArn(region, accountId, id)),
      ...nextPage('nextToken', next),
    };
  }

  async ofPrincipal(call: Call): Promise<object> {
    const certificateId = certificateIdOfPrincipal(call.header('x-amzn-principal'), 'principal');
    const names = await this.#context.store.things.thingsOf(certificateId);
    const paging = { scope: `things/${certificateId}`, names: IOT_PAGES, keyOf: (name: string) => name };
    const { items, next } = await pageOf(call, paging, names);
    return { things: items, ...nextPage('nextToken', next) };
  }

  async #find(call: Call): Promise<Thing> {
    const thingName = thingNameOf(call);
    const thing = await this.#context.store.things.find(thingName);
    if (!thing) throw refusal('ResourceNotFoundException', `Thing ${thingName} does not exist`);
    return thing;
  }
}

/** AWS IoT's merging: an empty value removes the attribute; without `merge` what is given takes the place of all. */
export function mergeAttributes(
  before: Readonly<Record<string, string>>,
  given: z.output<typeof attributePayload> | undefined,
): Record<string, string> {
  const merged = given?.merge ? { ...before, ...given.attributes } : (given?.attributes ?? before);
  return Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== ''));
}

function filterOf(call: Call): ThingFilter {
  const thingTypeName = call.query('thingTypeName');
  const name = call.query('attributeName');
  const value = call.query('attributeValue');
  if (name === undefined && value !== undefined) {
    throw refusal('InvalidRequestException', 'attributeValue needs an attributeName');
  }
  const isPrefix = call.query('usePrefixAttributeValue') === 'true';
  return {
    ...(thingTypeName === undefined ? {} : { thingTypeName }),
    ...(name === undefined
      ? {}
      : { attribute: { name, isPrefix, ...(value === undefined ? {} : { value }) } }),
  };
}

function identify({ thingName, thingArn: arn, thingId }: Thing): object {
  return { thingName, thingArn: arn, thingId };
}

function describeState({ attributes: values, thingTypeName, version }: Thing): object {
  return { ...(thingTypeName === undefined ? {} : { thingTypeName }), attributes: values, version };
}

function isSameThing(a: Thing, b: Thing): boolean {
  const sorted = ({ attributes: values }: Thing) => JSON.stringify(Object.entries(values).sort());
  return a.thingTypeName === b.thingTypeName && sorted(a) === sorted(b);
}

function checkVersion(thing: Thing, expected: number | undefined): void {
  if (expected === undefined || expected === thing.version) return;
  throw refusal(
    'VersionConflictException',
    `The version for thing ${thing.thingName} does not match the expected version.`,
  );
}
