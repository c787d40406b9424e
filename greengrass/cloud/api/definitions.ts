/** The seven families of definitions: one code, a row of words for each. */
import { randomUUID } from 'node:crypto';
import type {
  CoreDefinitionVersion,
  CreateCoreDefinitionRequest,
  UpdateCoreDefinitionRequest,
} from '@aws-sdk/client-greengrass';
import {
  asksForSubscriptionExtensions,
  EXTENSION_MEMBERS,
  EXTENSIONS_HEADER,
} from '../../model/subscription-extension.js';
import { type ContainerVersion, DEFINITION_KINDS, type DefinitionKind } from '../store/store.js';
import { describeContainer, describeVersion, GreengrassArns, newName } from './containers.js';
import type { ApiContext } from './context.js';
import { checkFunctions, checkResources, checkSubscriptions, refuseDuplicates } from './definition-checks.js';
import type { SubscriptionContent } from './definition-content.js';
import { refusal } from './errors.js';
import type { Call, Operation } from './operation.js';
import { GREENGRASS_PAGES, page } from './paging.js';
import { body } from './request-shapes.js';

interface Words {
  /** In the names of operations. */
  readonly operation: string;
  /** "That LONG Definition does not exist." */
  readonly long: string;
  /** "That SHORT definition does not exist." */
  readonly short: string;
  /** What the creation of a version says where its definition is missing. */
  readonly noParent: string;
}

const WORDS: Readonly<Record<DefinitionKind, Words>> = {
  cores: words('Core', 'cores'),
  devices: words('Device', 'devices'),
  functions: { ...words('Function', 'lambdas', 'Lambda'), noParent: 'That lambdas does not exist.' },
  subscriptions: {
    ...words('Subscription', 'subscriptions'),
    noParent: 'That subscriptions does not exist.',
  },
  resources: { ...words('Resource', 'resources'), noParent: 'That resource definition does not exist.' },
  loggers: words('Logger', 'loggers'),
  connectors: words('Connector', 'connectors'),
};

function words(operation: string, short: string, long = operation): Words {
  return { operation, short, long: `${long} List`, noParent: `That ${short} definition does not exist.` };
}

export function definitionOperations(context: ApiContext): Operation[] {
  return DEFINITION_KINDS.flatMap((kind) => new DefinitionFamily(context, kind).operations());
}

/** The families' requests differ in the content of a version only, which is an object to the code here. */
type Creation = Omit<CreateCoreDefinitionRequest, 'InitialVersion'> & { InitialVersion?: object };

class DefinitionFamily {
  readonly #context: ApiContext;
  readonly #kind: DefinitionKind;
  readonly #words: Words;
  readonly #arns: GreengrassArns;
  readonly #creation;
  readonly #renaming;
  readonly #content;

  constructor(context: ApiContext, kind: DefinitionKind) {
    this.#context = context;
    this.#kind = kind;
    this.#words = WORDS[kind];
    this.#arns = new GreengrassArns(context.region, context.accountId);
    const { operation } = this.#words;
    this.#creation = body<Creation>(`Create${operation}Definition`);
    this.#renaming = body<UpdateCoreDefinitionRequest>(`Update${operation}Definition`);
    this.#content = body<CoreDefinitionVersion>(`Create${operation}DefinitionVersion`);
  }

  operations(): Operation[] {
    const { operation } = this.#words;
    const list = `/greengrass/definition/${this.#kind}`;
    const one = `${list}/:definitionId`;
    const versions = `${one}/versions`;
    const route = (
      name: string,
      method: Operation['method'],
      path: string,
      handle: (call: Call) => Promise<object>,
      status = 200,
    ): Operation => ({ name, method, path, status, isIdempotent: status === 201, handle });
    return [
      route(`Create${operation}Definition`, 'POST', list, (call) => this.#create(call), 201),
      route(`List${operation}Definitions`, 'GET', list, (call) => this.#list(call)),
      route(`Get${operation}Definition`, 'GET', one, (call) => this.#get(call)),
      route(`Update${operation}Definition`, 'PUT', one, (call) => this.#update(call)),
      route(`Delete${operation}Definition`, 'DELETE', one, (call) => this.#delete(call)),
      route(
        `Create${operation}DefinitionVersion`,
        'POST',
        versions,
        (call) => this.#createVersion(call),
        201,
      ),
      route(`List${operation}DefinitionVersions`, 'GET', versions, (call) => this.#listVersions(call)),
      route(`Get${operation}DefinitionVersion`, 'GET', `${versions}/:versionId`, (call) =>
        this.#getVersion(call),
      ),
    ];
  }

  async #create(call: Call): Promise<object> {
    const request = call.json(this.#creation);
    if (request.InitialVersion) this.#check(request.InitialVersion);
    const now = new Date().toISOString();
    const id = randomUUID();
    const initial = request.InitialVersion && this.#version(id, request.InitialVersion, now);
    const container = {
      kind: this.#kind,
      id,
      ...(request.Name === undefined ? {} : { name: request.Name }),
      createdAt: now,
      updatedAt: now,
      ...(initial ? { latestVersion: initial.version } : {}),
      tags: request.tags ?? {},
    };
    await this.#context.store.containers.create(container, initial);
    return describeContainer(this.#arns, container);
  }

  async #list(call: Call): Promise<object> {
    const { items, next } = await page(call, {
      scope: this.#kind,
      names: GREENGRASS_PAGES,
      fetch: (limit, after) => this.#context.store.containers.list(this.#kind, limit, after),
      keyOf: ({ id }) => id,
    });
    return {
      Definitions: items.map((item) => ({ ...describeContainer(this.#arns, item), tags: item.tags })),
      ...(next === undefined ? {} : { NextToken: next }),
    };
  }

  async #get(call: Call): Promise<object> {
    const { long } = this.#words;
    const definition = await this.#find(call, `That ${long} Definition does not exist.`);
    return { ...describeContainer(this.#arns, definition), tags: definition.tags };
  }

  async #update(call: Call): Promise<object> {
    const name = newName(this.#kind, call.json(this.#renaming));
    const { id } = await this.#findShort(call);
    await this.#context.store.containers.rename(this.#kind, id, name, new Date().toISOString());
    return {};
  }

  async #delete(call: Call): Promise<object> {
    const { id } = await this.#findShort(call);
    await this.#context.store.containers.delete(this.#kind, id);
    return {};
  }

  async #createVersion(call: Call): Promise<object> {
    const content = call.json(this.#content);
    // The service looked at subscriptions before the definition, and at all others after it.
    if (this.#kind === 'subscriptions') this.#check(content);
    const { id } = await this.#find(call, this.#words.noParent);
    if (this.#kind !== 'subscriptions') this.#check(content);
    const version = this.#version(id, content, new Date().toISOString());
    await this.#context.store.containers.addVersion(version);
    return describeVersion(this.#arns, version);
  }

  async #listVersions(call: Call): Promise<object> {
    const { id } = await this.#findShort(call);
    const { items, next } = await page(call, {
      scope: `${this.#kind}/${id}`,
      names: GREENGRASS_PAGES,
      fetch: (limit, after) => this.#context.store.containers.listVersions(this.#kind, id, limit, after),
      keyOf: ({ version }) => version,
    });
    return {
      Versions: items.map((item) => describeVersion(this.#arns, item)),
      ...(next === undefined ? {} : { NextToken: next }),
    };
  }

  async #getVersion(call: Call): Promise<object> {
    const { id } = await this.#findShort(call);
    const versionId = call.param('versionId');
    const version = await this.#context.store.containers.findVersion(this.#kind, id, versionId);
    if (!version) {
      throw refusal(
        this.#kind === 'functions' ? 'IdNotFoundException' : 'VersionNotFoundException',
        `Version ${versionId} of ${this.#words.long} Definition ${id} does not exist.`,
      );
    }
    return {
      ...describeVersion(this.#arns, version),
      Definition: this.#shown(call, JSON.parse(version.content) as object),
    };
  }

  /** What V1's API does not know is for those only that ask for it. */
  #shown(call: Call, content: SubscriptionContent): object {
    const { Subscriptions } = content;
    if (this.#kind !== 'subscriptions' || !Subscriptions) return content;
    if (asksForSubscriptionExtensions(call.header(EXTENSIONS_HEADER))) return content;
    const isOfV1 = ([name]: [string, unknown]) => !EXTENSION_MEMBERS.some((member) => member === name);
    const plain = Subscriptions.map((one) => Object.fromEntries(Object.entries(one).filter(isOfV1)));
    return { ...content, Subscriptions: plain };
  }

  #findShort(call: Call) {
    return this.#find(call, `That ${this.#words.short} definition does not exist.`);
  }

  async #find(call: Call, missing: string) {
    const found = await this.#context.store.containers.find(this.#kind, call.param('definitionId'));
    if (!found) throw refusal('IdNotFoundException', missing);
    return found;
  }

  #version(id: string, content: object, createdAt: string): ContainerVersion {
    return { kind: this.#kind, id, version: randomUUID(), createdAt, content: JSON.stringify(content) };
  }

  #check(content: object): void {
    checkContent(this.#kind, content);
  }
}

/** The rules of the kind, for content that its schema has accepted. */
function checkContent(kind: DefinitionKind, content: object): void {
  if (kind === 'functions') checkFunctions(content);
  else if (kind === 'subscriptions') checkSubscriptions(content);
  else if (kind === 'resources') checkResources(content);
  else {
    for (const list of Object.values(content)) {
      if (Array.isArray(list)) refuseDuplicates(kind, list);
    }
  }
}
