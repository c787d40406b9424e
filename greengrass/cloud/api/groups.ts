/** Groups and their versions. */
import { randomUUID } from 'node:crypto';
import type {
  CreateGroupRequest,
  CreateGroupVersionRequest,
  GroupVersion,
  UpdateGroupRequest,
} from '@aws-sdk/client-greengrass';
import type { Container, ContainerVersion, DefinitionKind } from '../store/store.js';
import { describeContainer, describeVersion, GreengrassArns, newName } from './containers.js';
import type { ApiContext } from './context.js';
import { refusal, untypedRefusal } from './errors.js';
import type { Call, Operation } from './operation.js';
import { GREENGRASS_PAGES, page } from './paging.js';
import { body, type Checked, shape } from './request-shapes.js';

export const groupVersionContent = shape<GroupVersion>('GroupVersion');
export type GroupVersionContent = Checked<GroupVersion>;

const creation = body<CreateGroupRequest>('CreateGroup');
const nameUpdate = body<UpdateGroupRequest>('UpdateGroup');
const versionCreation = body<CreateGroupVersionRequest>('CreateGroupVersion');

/** The references of a group version, in the order in which V1's error names them. */
const REFERENCES: ReadonlyArray<readonly [keyof GroupVersionContent, DefinitionKind, string]> = [
  ['CoreDefinitionVersionArn', 'cores', 'Cores'],
  ['FunctionDefinitionVersionArn', 'functions', 'Lambda'],
  ['ResourceDefinitionVersionArn', 'resources', 'Resource'],
  ['DeviceDefinitionVersionArn', 'devices', 'Devices'],
  ['SubscriptionDefinitionVersionArn', 'subscriptions', 'Subscription'],
  ['LoggerDefinitionVersionArn', 'loggers', 'Logger'],
  ['ConnectorDefinitionVersionArn', 'connectors', 'Connector'],
];

export function groupOperations(context: ApiContext): Operation[] {
  const groups = new Groups(context);
  const one = '/greengrass/groups/:groupId';
  return [
    {
      name: 'CreateGroup',
      method: 'POST',
      path: '/greengrass/groups',
      status: 201,
      isIdempotent: true,
      handle: (call) => groups.create(call),
    },
    { name: 'ListGroups', method: 'GET', path: '/greengrass/groups', handle: (call) => groups.list(call) },
    { name: 'GetGroup', method: 'GET', path: one, handle: (call) => groups.get(call) },
    { name: 'UpdateGroup', method: 'PUT', path: one, handle: (call) => groups.update(call) },
    { name: 'DeleteGroup', method: 'DELETE', path: one, handle: (call) => groups.delete(call) },
    {
      name: 'CreateGroupVersion',
      method: 'POST',
      path: `${one}/versions`,
      status: 201,
      isIdempotent: true,
      handle: (call) => groups.createVersion(call),
    },
    {
      name: 'ListGroupVersions',
      method: 'GET',
      path: `${one}/versions`,
      handle: (call) => groups.listVersions(call),
    },
    {
      name: 'GetGroupVersion',
      method: 'GET',
      path: `${one}/versions/:versionId`,
      handle: (call) => groups.getVersion(call),
    },
  ];
}

class Groups {
  readonly #context: ApiContext;
  readonly #arns: GreengrassArns;

  constructor(context: ApiContext) {
    this.#context = context;
    this.#arns = new GreengrassArns(context.region, context.accountId);
  }

  /** A group always gets a first version, an empty one where none is given: clients read LatestVersion at once. */
  async create(call: Call): Promise<object> {
    const request = call.json(creation);
    const content = request.InitialVersion ?? {};
    await this.#checkReferences(content);
    const now = new Date().toISOString();
    const initial = groupVersion(randomUUID(), content, now);
    const group: Container = {
      kind: 'groups',
      id: initial.id,
      name: request.Name,
      createdAt: now,
      updatedAt: now,
      latestVersion: initial.version,
      tags: request.tags ?? {},
    };
    await this.#context.store.containers.create(group, initial);
    return describeContainer(this.#arns, group);
  }

  async list(call: Call): Promise<object> {
    const { items, next } = await page(call, {
      scope: 'groups',
      names: GREENGRASS_PAGES,
      fetch: (limit, after) => this.#context.store.containers.list('groups', limit, after),
      keyOf: ({ id }) => id,
    });
    return {
      Groups: items.map((item) => describeContainer(this.#arns, item)),
      ...(next === undefined ? {} : { NextToken: next }),
    };
  }

  async get(call: Call): Promise<object> {
    const group = await this.#find(call, 'That Group Definition does not exist.');
    return { ...describeContainer(this.#arns, group), tags: group.tags };
  }

  async update(call: Call): Promise<object> {
    const name = newName('groups', call.json(nameUpdate));
    const { id } = await this.#find(call, 'That group definition does not exist.');
    await this.#context.store.containers.rename('groups', id, name, new Date().toISOString());
    return {};
  }

  /** V1: a deployed group is reset before it is deleted. */
  async delete(call: Call): Promise<object> {
    const { store } = this.#context;
    const { id } = await this.#find(call, 'That group definition does not exist.');
    if ((await store.deployments.findDeployed(id)) ?? (await store.deployments.findOpen(id))) {
      throw refusal(
        'BadRequestException',
        `Group id: ${id} is deployed to its core and can't be deleted. Reset its deployments first (ResetDeployments).`,
      );
    }
    await store.containers.delete('groups', id);
    await store.authorities.delete(id);
    await store.roles.delete(id);
    return {};
  }

  async createVersion(call: Call): Promise<object> {
    const content = call.json(versionCreation);
    const { id } = await this.#find(call, 'That group does not exist.');
    await this.#checkReferences(content);
    const version = groupVersion(id, content, new Date().toISOString());
    await this.#context.store.containers.addVersion(version);
    return describeVersion(this.#arns, version);
  }

  async listVersions(call: Call): Promise<object> {
    const { id } = await this.#find(call, 'That group definition does not exist.');
    const { items, next } = await page(call, {
      scope: `groups/${id}`,
      names: GREENGRASS_PAGES,
      fetch: (limit, after) => this.#context.store.containers.listVersions('groups', id, limit, after),
      keyOf: ({ version }) => version,
    });
    return {
      Versions: items.map((item) => describeVersion(this.#arns, item)),
      ...(next === undefined ? {} : { NextToken: next }),
    };
  }

  async getVersion(call: Call): Promise<object> {
    const { id } = await this.#find(call, 'That group definition does not exist.');
    const versionId = call.param('versionId');
    const version = await this.#context.store.containers.findVersion('groups', id, versionId);
    if (!version) {
      throw refusal(
        'VersionNotFoundException',
        `Version ${versionId} of Group Definition ${id} does not exist.`,
      );
    }
    return { ...describeVersion(this.#arns, version), Definition: JSON.parse(version.content) as object };
  }

  async #find(call: Call, missing: string): Promise<Container> {
    const group = await this.#context.store.containers.find('groups', call.param('groupId'));
    if (!group) throw refusal('IdNotFoundException', missing);
    return group;
  }

  async #checkReferences(content: GroupVersionContent): Promise<void> {
    const problems: string[] = [];
    for (const [member, kind, word] of REFERENCES) {
      const reference = content[member];
      if (reference !== undefined && !(await this.#exists(kind, reference))) {
        problems.push(`${word} definition reference does not exist`);
      }
    }
    if (problems.length === 0) return;
    throw untypedRefusal(400, `The group is invalid or corrupted. (ErrorDetails: [${problems.join(', ')}])`);
  }

  async #exists(kind: DefinitionKind, reference: string): Promise<boolean> {
    const found = this.#arns.parseDefinitionVersion(kind, reference);
    if (!found) return false;
    const version = await this.#context.store.containers.findVersion(kind, found.id, found.version);
    return version !== undefined;
  }
}

function groupVersion(id: string, content: GroupVersionContent, createdAt: string): ContainerVersion {
  return { kind: 'groups', id, version: randomUUID(), createdAt, content: JSON.stringify(content) };
}
