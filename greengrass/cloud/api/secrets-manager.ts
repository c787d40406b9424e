/**
 * Secrets Manager, as far as Greengrass and its scripts use it. Its protocol is JSON over POST to the root, the operation
 * in X-Amz-Target. Values are sealed before they reach the database, and are in no log.
 */
import { randomInt } from 'node:crypto';
import { sealName } from '../store/secret-source.js';
import type { Secret, SecretVersion } from '../store/secrets.js';
import { ConflictError } from '../store/store.js';
import type { ApiContext } from './context.js';
import { refusal } from './errors.js';
import { epochSeconds } from './iot-names.js';
import type { Call, Operation } from './operation.js';
import { pageOfBody } from './paging.js';
import { describeSecret, isDue, matches, stagesByVersion, tagMap } from './secret-answers.js';
import { notFound, SecretRegistry } from './secret-registry.js';
import { type Checked, requestSchemas } from './secret-requests.js';
import { CURRENT, moveStage } from './secret-stages.js';
import { SecretValues } from './secret-values.js';

const DAY_MS = 24 * 60 * 60 * 1000;

export function secretOperations(context: ApiContext): Operation[] {
  const secrets = new Secrets(context);
  const operation = (
    name: string,
    handle: (call: Call) => Promise<object>,
    marks: Pick<Operation, 'isForGroupRoles' | 'isReading'> = {},
  ): Operation => ({
    name,
    method: 'POST',
    path: '/',
    target: `secretsmanager.${name}`,
    handle,
    ...marks,
  });
  const reading = { isReading: true };
  return [
    operation('CreateSecret', (call) => secrets.create(call)),
    operation('PutSecretValue', (call) => secrets.putValue(call)),
    // Written down like a change: who has read a secret is worth knowing.
    operation('GetSecretValue', (call) => secrets.value(call), { isForGroupRoles: true }),
    operation('DescribeSecret', (call) => secrets.describe(call), { ...reading, isForGroupRoles: true }),
    operation('ListSecrets', (call) => secrets.list(call), reading),
    operation('ListSecretVersionIds', (call) => secrets.versionIds(call), {
      ...reading,
      isForGroupRoles: true,
    }),
    operation('UpdateSecret', (call) => secrets.update(call)),
    operation('UpdateSecretVersionStage', (call) => secrets.updateStage(call)),
    operation('DeleteSecret', (call) => secrets.delete(call)),
    operation('RestoreSecret', (call) => secrets.restore(call)),
    operation('TagResource', (call) => secrets.tag(call)),
    operation('UntagResource', (call) => secrets.untag(call)),
  ];
}

class Secrets {
  readonly #context: ApiContext;
  readonly #values: SecretValues;
  readonly #registry: SecretRegistry;

  constructor(context: ApiContext) {
    const { store, vault, exclusive } = context;
    this.#context = context;
    this.#values = new SecretValues(store.secrets, vault);
    this.#registry = new SecretRegistry(store.secrets, exclusive);
  }

  async create(call: Call): Promise<object> {
    const request = call.json(requestSchemas.CreateSecret);
    const { region, accountId, store } = this.#context;
    const now = new Date().toISOString();
    const secret: Secret = {
      arn: `arn:aws:secretsmanager:${region}:${accountId}:secret:${request.Name}-${suffix()}`,
      name: request.Name,
      ...(request.Description === undefined ? {} : { description: request.Description }),
      ...(request.KmsKeyId === undefined ? {} : { kmsKeyId: request.KmsKeyId }),
      tags: tagMap(request.Tags ?? []),
      createdAt: now,
      changedAt: now,
    };
    const version = this.#values.make(secret, request, [CURRENT], now);
    const answer = { ARN: secret.arn, Name: secret.name };
    await this.#registry.dropIfDue(await store.secrets.find(secret.name));
    try {
      await store.secrets.create(secret, version ? [version] : []);
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error;
      return this.#createdBefore(request, version);
    }
    return version ? { ...answer, VersionId: version.versionId } : answer;
  }

  async putValue(call: Call): Promise<object> {
    const request = call.json(requestSchemas.PutSecretValue);
    return this.#registry.changing(request.SecretId, async (secret) => {
      const now = new Date().toISOString();
      const version = this.#values.make(secret, request, request.VersionStages ?? [CURRENT], now);
      if (!version) {
        throw refusal('InvalidRequestException', 'You must provide either SecretString or SecretBinary.');
      }
      const { versionId, stages } = await this.#values.add(secret, version, now);
      return { ARN: secret.arn, Name: secret.name, VersionId: versionId, VersionStages: stages };
    });
  }

  async update(call: Call): Promise<object> {
    const request = call.json(requestSchemas.UpdateSecret);
    return this.#registry.changing(request.SecretId, async (secret) => {
      const now = new Date().toISOString();
      const changed: Secret = {
        ...secret,
        ...(request.Description === undefined ? {} : { description: request.Description }),
        ...(request.KmsKeyId === undefined ? {} : { kmsKeyId: request.KmsKeyId }),
        changedAt: now,
      };
      const version = this.#values.make(secret, request, [CURRENT], now);
      const answer = { ARN: secret.arn, Name: secret.name };
      if (version) return { ...answer, VersionId: (await this.#values.add(changed, version, now)).versionId };
      await this.#context.store.secrets.save(changed);
      return answer;
    });
  }

  async value(call: Call): Promise<object> {
    const { SecretId, VersionId, VersionStage } = call.json(requestSchemas.GetSecretValue);
    const { store, vault } = this.#context;
    const secret = await this.#registry.find(SecretId, call);
    const versions = await store.secrets.versions(secret.arn);
    const stage = VersionStage ?? (VersionId === undefined ? CURRENT : undefined);
    const version = versions.find(
      ({ versionId, stages }) =>
        (VersionId === undefined || versionId === VersionId) &&
        (stage === undefined || stages.includes(stage)),
    );
    const isOther = VersionId !== undefined && versions.some(({ versionId }) => versionId === VersionId);
    if (!version && isOther) {
      throw refusal(
        'InvalidRequestException',
        'You provided a VersionStage that is not associated to the provided VersionId.',
      );
    }
    if (!version) {
      const what = VersionId === undefined ? `staging label: ${stage}` : `VersionId: ${VersionId}`;
      throw notFound(`Secrets Manager can't find the specified secret value for ${what}`);
    }
    const plain = vault.open(sealName(secret.arn, version.versionId), version.sealed);
    await this.#registry.noteAccess(secret);
    return {
      ARN: secret.arn,
      Name: secret.name,
      VersionId: version.versionId,
      ...(version.isBinary
        ? { SecretBinary: plain.toString('base64') }
        : { SecretString: plain.toString('utf8') }),
      VersionStages: version.stages,
      CreatedDate: epochSeconds(version.createdAt),
    };
  }

  async describe(call: Call): Promise<object> {
    const { SecretId } = call.json(requestSchemas.DescribeSecret);
    const secret = await this.#registry.find(SecretId, call, { evenIfDeleted: true });
    const versions = await this.#context.store.secrets.versions(secret.arn);
    return { ...describeSecret(secret), VersionIdsToStages: stagesByVersion(versions) };
  }

  async list(call: Call): Promise<object> {
    const { MaxResults, NextToken, IncludePlannedDeletion, Filters } = call.json(requestSchemas.ListSecrets);
    const { secrets } = this.#context.store;
    const { items, next } = await pageOfBody({
      scope: 'secrets',
      size: MaxResults ?? 100,
      token: NextToken,
      fetch: (limit, after) => secrets.list(limit, after),
      keyOf: ({ name }: Secret) => name,
    });
    const shown = items.filter(
      (secret) =>
        (secret.deletionAt === undefined || (IncludePlannedDeletion === true && !isDue(secret))) &&
        (Filters ?? []).every(({ Key, Values }) => matches(secret, Key, Values)),
    );
    return {
      SecretList: await Promise.all(
        shown.map(async (secret) => ({
          ...describeSecret(secret),
          SecretVersionsToStages: stagesByVersion(await secrets.versions(secret.arn)),
        })),
      ),
      ...(next === undefined ? {} : { NextToken: next }),
    };
  }

  async versionIds(call: Call): Promise<object> {
    const { SecretId, IncludeDeprecated } = call.json(requestSchemas.ListSecretVersionIds);
    const secret = await this.#registry.find(SecretId, call);
    const versions = await this.#context.store.secrets.versions(secret.arn);
    return {
      ARN: secret.arn,
      Name: secret.name,
      Versions: versions
        .filter(({ stages }) => IncludeDeprecated === true || stages.length > 0)
        .map(({ versionId, stages, createdAt }) => ({
          VersionId: versionId,
          VersionStages: stages,
          CreatedDate: epochSeconds(createdAt),
        })),
    };
  }

  async updateStage(call: Call): Promise<object> {
    const request = call.json(requestSchemas.UpdateSecretVersionStage);
    const { VersionStage: stage, MoveToVersionId: to, RemoveFromVersionId: from } = request;
    return this.#registry.changing(request.SecretId, async (secret) => {
      const versions = await this.#context.store.secrets.versions(secret.arn);
      for (const id of [to, from]) {
        if (id !== undefined && !versions.some(({ versionId }) => versionId === id)) {
          throw notFound(`Secrets Manager can't find the specified secret version: ${id}`);
        }
      }
      const holder = versions.find(({ stages }) => stages.includes(stage))?.versionId;
      if (holder !== undefined && holder !== to && holder !== from) {
        throw refusal(
          'InvalidParameterException',
          `The parameter RemoveFromVersionId can't be empty or another one. Staging label ${stage} is currently attached to version ${holder}, so you must explicitly reference that version in RemoveFromVersionId.`,
        );
      }
      if (to === undefined && stage === CURRENT) {
        throw refusal(
          'InvalidParameterException',
          `You can only move staging label ${CURRENT} to a different secret version. It can't be completely removed.`,
        );
      }
      const changed = { ...secret, changedAt: new Date().toISOString() };
      await this.#context.store.secrets.save(changed, moveStage(versions, stage, to));
      return { ARN: secret.arn, Name: secret.name };
    });
  }

  async delete(call: Call): Promise<object> {
    const request = call.json(requestSchemas.DeleteSecret);
    const { ForceDeleteWithoutRecovery: isForced = false, RecoveryWindowInDays: days } = request;
    if (isForced && days !== undefined) {
      throw refusal(
        'InvalidParameterException',
        "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.",
      );
    }
    if (days !== undefined && (days < 7 || days > 30)) {
      throw refusal(
        'InvalidParameterException',
        'The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).',
      );
    }
    const { secrets } = this.#context.store;
    // Whoever forces a secret away may do it twice.
    if (isForced && !(await this.#registry.lookUp(request.SecretId)))
      return this.#goneAlready(request.SecretId);
    return this.#registry.changing(
      request.SecretId,
      async (secret) => {
        const now = Date.now();
        const at = new Date(isForced ? now : now + (days ?? 30) * DAY_MS).toISOString();
        if (isForced) await secrets.delete(secret.arn);
        else await secrets.save({ ...secret, deletionAt: at, changedAt: new Date(now).toISOString() });
        return { ARN: secret.arn, Name: secret.name, DeletionDate: epochSeconds(at) };
      },
      { evenIfDeleted: isForced },
    );
  }

  async restore(call: Call): Promise<object> {
    const { SecretId } = call.json(requestSchemas.RestoreSecret);
    return this.#registry.changing(
      SecretId,
      async ({ deletionAt: _deletion, ...secret }) => {
        await this.#context.store.secrets.save({ ...secret, changedAt: new Date().toISOString() });
        return { ARN: secret.arn, Name: secret.name };
      },
      { evenIfDeleted: true },
    );
  }

  async tag(call: Call): Promise<object> {
    const { SecretId, Tags } = call.json(requestSchemas.TagResource);
    return this.#registry.changing(SecretId, async (secret) => {
      await this.#context.store.secrets.save({ ...secret, tags: { ...secret.tags, ...tagMap(Tags) } });
      return {};
    });
  }

  async untag(call: Call): Promise<object> {
    const { SecretId, TagKeys } = call.json(requestSchemas.UntagResource);
    return this.#registry.changing(SecretId, async (secret) => {
      const tags = Object.entries(secret.tags).filter(([key]) => !TagKeys.includes(key));
      await this.#context.store.secrets.save({ ...secret, tags: Object.fromEntries(tags) });
      return {};
    });
  }

  #goneAlready(id: string): object {
    const { region, accountId } = this.#context;
    const arn = id.startsWith('arn:') ? id : `arn:aws:secretsmanager:${region}:${accountId}:secret:${id}`;
    const name = id.replace(/^arn:.*:secret:/, '');
    return { ARN: arn, Name: name, DeletionDate: epochSeconds(new Date().toISOString()) };
  }

  /** The same request again, after an answer that was lost, gives that answer; else the name is taken. */
  async #createdBefore(request: Checked<'CreateSecret'>, version: SecretVersion | undefined) {
    const existing = await this.#context.store.secrets.find(request.Name);
    const same =
      existing && version && request.ClientRequestToken !== undefined
        ? (await this.#context.store.secrets.versions(existing.arn)).find(
            ({ versionId }) => versionId === version.versionId,
          )
        : undefined;
    if (existing && same && this.#values.isSame(existing, same, request)) {
      return { ARN: existing.arn, Name: existing.name, VersionId: same.versionId };
    }
    if (existing?.deletionAt !== undefined) {
      throw refusal(
        'InvalidRequestException',
        "You can't create this secret because a secret with this name is already scheduled for deletion.",
      );
    }
    throw refusal(
      'ResourceExistsException',
      `The operation failed because the secret ${request.Name} already exists.`,
    );
  }
}

function suffix(): string {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
  return Array.from({ length: 6 }, () => letters[randomInt(letters.length)]).join('');
}
