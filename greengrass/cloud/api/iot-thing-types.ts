/** AWS IoT: thing types. */
import { randomUUID } from 'node:crypto';
import { z } from '../../lib/check.js';
import { ConflictError } from '../store/store.js';
import type { ThingType } from '../store/thing-types.js';
import type { ApiContext } from './context.js';
import { refusal } from './errors.js';
import { epochSeconds, nextPage, registryName } from './iot-names.js';
import type { Call, Operation } from './operation.js';
import { IOT_PAGES, page } from './paging.js';

const creation = z.object({
  thingTypeProperties: z
    .object({
      thingTypeDescription: z.string().max(2028).optional(),
      searchableAttributes: z.array(z.string().max(128)).max(3, 'at most 3 attributes').optional(),
    })
    .optional(),
});
const deprecation = z.object({ undoDeprecate: z.boolean().optional() });

export function thingTypeOperations(context: ApiContext): Operation[] {
  const types = new ThingTypes(context);
  const one = '/thing-types/:thingTypeName';
  return [
    { name: 'CreateThingType', method: 'POST', path: one, handle: (call) => types.create(call) },
    { name: 'DescribeThingType', method: 'GET', path: one, handle: (call) => types.describe(call) },
    { name: 'DeleteThingType', method: 'DELETE', path: one, handle: (call) => types.delete(call) },
    { name: 'ListThingTypes', method: 'GET', path: '/thing-types', handle: (call) => types.list(call) },
    {
      name: 'DeprecateThingType',
      method: 'POST',
      path: `${one}/deprecate`,
      handle: (call) => types.deprecate(call),
    },
  ];
}

/** Refuses a type that is not there, or that new things may not have. */
export async function checkThingType({ store }: ApiContext, name: string): Promise<void> {
  const type = await store.thingTypes.find(name);
  if (!type) throw notFound(name);
  if (type.deprecatedAt !== undefined) {
    throw refusal(
      'InvalidRequestException',
      `Thing type ${name} is deprecated: no further thing can be associated with it`,
    );
  }
}

class ThingTypes {
  readonly #context: ApiContext;

  constructor(context: ApiContext) {
    this.#context = context;
  }

  /** The same type again is no error; one of the same name with other properties is. */
  async create(call: Call): Promise<object> {
    const name = nameOf(call);
    const { thingTypeProperties: properties } = call.json(creation);
    const description = properties?.thingTypeDescription;
    const type: ThingType = {
      name,
      typeId: randomUUID(),
      ...(description === undefined ? {} : { description }),
      searchableAttributes: properties?.searchableAttributes ?? [],
      createdAt: new Date().toISOString(),
    };
    try {
      await this.#context.store.thingTypes.create(type);
      return this.#identify(type);
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error;
    }
    const existing = await this.#find(name);
    if (JSON.stringify(propertiesOf(existing)) === JSON.stringify(propertiesOf(type))) {
      return this.#identify(existing);
    }
    throw refusal(
      'ResourceAlreadyExistsException',
      `Thing type ${name} already exists in account with different properties`,
    );
  }

  async describe(call: Call): Promise<object> {
    const type = await this.#find(nameOf(call));
    return { ...this.#identify(type), ...describeState(type) };
  }

  async deprecate(call: Call): Promise<object> {
    const { name } = await this.#find(nameOf(call));
    const { undoDeprecate = false } = call.json(deprecation);
    const at = undoDeprecate ? undefined : new Date().toISOString();
    await this.#context.store.thingTypes.setDeprecated(name, at);
    return {};
  }

  /** AWS wants a type to be deprecated for five minutes first; here deprecated is enough. */
  async delete(call: Call): Promise<object> {
    const type = await this.#find(nameOf(call));
    if (type.deprecatedAt === undefined) {
      throw refusal(
        'InvalidRequestException',
        `Cannot delete thing type ${type.name}: it is not deprecated. Deprecate it first.`,
      );
    }
    await this.#context.store.thingTypes.delete(type.name);
    return {};
  }

  async list(call: Call): Promise<object> {
    const wanted = call.query('thingTypeName');
    const { thingTypes } = this.#context.store;
    const { items, next } = await page(call, {
      scope: 'thing-types',
      names: IOT_PAGES,
      fetch: async (limit, after) => {
        if (wanted === undefined) return thingTypes.list(limit, after);
        const found = await thingTypes.find(wanted);
        return found ? [found] : [];
      },
      keyOf: ({ name }) => name,
    });
    return {
      thingTypes: items.map((type) => ({
        thingTypeName: type.name,
        thingTypeArn: this.#arn(type.name),
        ...describeState(type),
      })),
      ...nextPage('nextToken', next),
    };
  }

  async #find(name: string): Promise<ThingType> {
    const type = await this.#context.store.thingTypes.find(name);
    if (!type) throw notFound(name);
    return type;
  }

  #identify({ name, typeId }: ThingType): object {
    return { thingTypeName: name, thingTypeArn: this.#arn(name), thingTypeId: typeId };
  }

  #arn(name: string): string {
    return `arn:aws:iot:${this.#context.region}:${this.#context.accountId}:thingtype/${name}`;
  }
}

function nameOf(call: Call): string {
  return registryName(call.param('thingTypeName'), 'thingTypeName');
}

function notFound(name: string) {
  return refusal('ResourceNotFoundException', `Thing type ${name} does not exist`);
}

function propertiesOf({ description, searchableAttributes }: ThingType): object {
  return {
    ...(description === undefined ? {} : { thingTypeDescription: description }),
    searchableAttributes,
  };
}

function describeState(type: ThingType): object {
  const { deprecatedAt, createdAt } = type;
  return {
    thingTypeProperties: propertiesOf(type),
    thingTypeMetadata: {
      deprecated: deprecatedAt !== undefined,
      ...(deprecatedAt === undefined ? {} : { deprecationDate: epochSeconds(deprecatedAt) }),
      creationDate: epochSeconds(createdAt),
    },
  };
}
