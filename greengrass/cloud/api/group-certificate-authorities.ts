/** Group certificate authorities, and how long the MQTT server certificates live that they sign. */
import type { UpdateGroupCertificateConfigurationRequest } from '@aws-sdk/client-greengrass';
import type { GroupAuthority } from '../store/store.js';
import { GreengrassArns } from './containers.js';
import type { ApiContext } from './context.js';
import { refusal } from './errors.js';
import type { Call, Operation } from './operation.js';
import { body } from './request-shapes.js';

const DAY_MS = 24 * 60 * 60 * 1000;
const MIN_EXPIRY_MS = 7 * DAY_MS;
const MAX_EXPIRY_MS = 30 * DAY_MS;
/** Eighty years less a second: the life of a group CA. */
const AUTHORITY_EXPIRY_MS = 2_524_607_999_000;

const expiryUpdate = body<UpdateGroupCertificateConfigurationRequest>('UpdateGroupCertificateConfiguration');

export function authorityOperations(context: ApiContext): Operation[] {
  const authorities = new Authorities(context);
  const list = '/greengrass/groups/:groupId/certificateauthorities';
  const expiry = `${list}/configuration/expiry`;
  return [
    {
      name: 'CreateGroupCertificateAuthority',
      method: 'POST',
      path: list,
      isIdempotent: true,
      handle: (call) => authorities.create(call),
    },
    {
      name: 'ListGroupCertificateAuthorities',
      method: 'GET',
      path: list,
      handle: (call) => authorities.list(call),
    },
    {
      name: 'GetGroupCertificateConfiguration',
      method: 'GET',
      path: expiry,
      handle: (call) => authorities.configuration(call),
    },
    {
      name: 'UpdateGroupCertificateConfiguration',
      method: 'PUT',
      path: expiry,
      handle: (call) => authorities.updateConfiguration(call),
    },
    {
      name: 'GetGroupCertificateAuthority',
      method: 'GET',
      path: `${list}/:authorityId`,
      handle: (call) => authorities.get(call),
    },
  ];
}

class Authorities {
  readonly #context: ApiContext;
  readonly #arns: GreengrassArns;

  constructor(context: ApiContext) {
    this.#context = context;
    this.#arns = new GreengrassArns(context.region, context.accountId);
  }

  /** Makes the CA, or rotates it: the new one is the active one. */
  async create(call: Call): Promise<object> {
    const groupId = await this.#groupOf(call);
    return { GroupCertificateAuthorityArn: this.#arnOf(await this.#context.authorities.create(groupId)) };
  }

  async list(call: Call): Promise<object> {
    const groupId = await this.#groupOf(call);
    await this.#context.authorities.ensure(groupId);
    const authorities = await this.#context.authorities.list(groupId);
    return {
      GroupCertificateAuthorities: authorities.map((authority) => ({
        GroupCertificateAuthorityArn: this.#arnOf(authority),
        GroupCertificateAuthorityId: authority.authorityId,
      })),
    };
  }

  async get(call: Call): Promise<object> {
    const groupId = await this.#groupOf(call);
    const id = call.param('authorityId');
    const authority = (await this.#context.authorities.list(groupId)).find((one) => one.authorityId === id);
    if (!authority) {
      throw refusal('IdNotFoundException', `Certificate authority ${id} of group ${groupId} does not exist.`);
    }
    return {
      GroupCertificateAuthorityArn: this.#arnOf(authority),
      GroupCertificateAuthorityId: id,
      PemEncodedCertificate: `${authority.certificatePem.trimEnd()}\n`,
    };
  }

  async configuration(call: Call): Promise<object> {
    return this.#describe(await this.#groupOf(call));
  }

  async updateConfiguration(call: Call): Promise<object> {
    const expiryMs = Number(call.json(expiryUpdate).CertificateExpiryInMilliseconds);
    const groupId = await this.#groupOf(call);
    if (expiryMs < MIN_EXPIRY_MS || expiryMs > MAX_EXPIRY_MS) {
      throw refusal(
        'BadRequestException',
        `CertificateExpiryInMilliseconds must be from ${MIN_EXPIRY_MS} (7 days) to ${MAX_EXPIRY_MS} (30 days), but is ${expiryMs}.`,
      );
    }
    await this.#context.store.authorities.setServerCertificateExpiryMs(groupId, expiryMs);
    return this.#describe(groupId);
  }

  /** Numbers, where the model says strings: so V1's service answered. */
  async #describe(groupId: string): Promise<object> {
    return {
      CertificateAuthorityExpiryInMilliseconds: AUTHORITY_EXPIRY_MS,
      CertificateExpiryInMilliseconds:
        await this.#context.store.authorities.serverCertificateExpiryMs(groupId),
      GroupId: groupId,
    };
  }

  async #groupOf(call: Call): Promise<string> {
    const groupId = call.param('groupId');
    if (await this.#context.store.containers.find('groups', groupId)) return groupId;
    throw refusal('IdNotFoundException', 'That group definition does not exist.');
  }

  #arnOf({ groupId, authorityId }: GroupAuthority): string {
    return this.#arns.certificateAuthority(groupId, authorityId);
  }
}
