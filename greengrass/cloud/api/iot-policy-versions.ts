/** AWS IoT: versions of policies. Scripts change a policy by a new version that they make the default. */
import { z } from '../../lib/check.js';
import type { PolicyVersion } from '../store/policy-versions.js';
import type { Policy } from '../store/store.js';
import type { ApiContext } from './context.js';
import { refusal } from './errors.js';
import { epochSeconds, policyNameOf } from './iot-names.js';
import { checkPolicyDocument } from './iot-policies.js';
import type { Call, Operation } from './operation.js';

/** AWS IoT's quota. */
const MAX_VERSIONS = 5;

const creation = z.object({ policyDocument: z.string().min(1).max(65_536) });

export function policyVersionOperations(context: ApiContext): Operation[] {
  const versions = new PolicyVersions(context);
  const list = '/policies/:policyName/version';
  const one = `${list}/:versionId`;
  return [
    { name: 'CreatePolicyVersion', method: 'POST', path: list, handle: (call) => versions.create(call) },
    { name: 'ListPolicyVersions', method: 'GET', path: list, handle: (call) => versions.list(call) },
    { name: 'GetPolicyVersion', method: 'GET', path: one, handle: (call) => versions.get(call) },
    {
      name: 'SetDefaultPolicyVersion',
      method: 'PATCH',
      path: one,
      handle: (call) => versions.setDefault(call),
    },
    { name: 'DeletePolicyVersion', method: 'DELETE', path: one, handle: (call) => versions.delete(call) },
  ];
}

class PolicyVersions {
  readonly #context: ApiContext;

  constructor(context: ApiContext) {
    this.#context = context;
  }

  async create(call: Call): Promise<object> {
    const asDefault = call.queryFlag('setAsDefault') ?? false;
    const { policyDocument: document } = call.json(creation);
    const { policyName, policyArn } = await this.#policy(call);
    checkPolicyDocument(document);
    const version = await this.#context.store.policyVersions.create(
      { policyName, document, createdAt: new Date().toISOString() },
      { asDefault, limit: MAX_VERSIONS },
    );
    if (!version) {
      throw refusal(
        'VersionsLimitExceededException',
        `The policy ${policyName} already has the maximum number of versions (${MAX_VERSIONS})`,
      );
    }
    if (asDefault) await this.#review(policyName);
    return {
      policyArn,
      policyDocument: document,
      policyVersionId: version.versionId,
      isDefaultVersion: asDefault,
    };
  }

  async list(call: Call): Promise<object> {
    const policy = await this.#policy(call);
    const versions = await this.#context.store.policyVersions.list(policy.policyName);
    return {
      policyVersions: versions.map(({ versionId, createdAt }) => ({
        versionId,
        isDefaultVersion: versionId === policy.versionId,
        createDate: epochSeconds(createdAt),
      })),
    };
  }

  async get(call: Call): Promise<object> {
    const policy = await this.#policy(call);
    const version = await this.#version(policy, call);
    return {
      policyArn: policy.policyArn,
      policyName: policy.policyName,
      policyDocument: version.document,
      policyVersionId: version.versionId,
      isDefaultVersion: version.versionId === policy.versionId,
      creationDate: epochSeconds(version.createdAt),
      lastModifiedDate: epochSeconds(version.createdAt),
    };
  }

  async setDefault(call: Call): Promise<undefined> {
    return this.#inTurn(call, async (policy) => {
      await this.#context.store.policyVersions.setDefault(await this.#version(policy, call));
      await this.#review(policy.policyName);
      return undefined;
    });
  }

  async delete(call: Call): Promise<undefined> {
    return this.#inTurn(call, async (policy) => {
      const { policyName, versionId } = await this.#version(policy, call);
      if (versionId === policy.versionId) {
        throw refusal(
          'DeleteConflictException',
          `Cannot delete the default version of a policy (name=${policyName})`,
        );
      }
      await this.#context.store.policyVersions.delete(policyName, versionId);
      return undefined;
    });
  }

  /** A version can't become the default while it is being deleted. */
  #inTurn<T>(call: Call, work: (policy: Policy) => Promise<T>): Promise<T> {
    return this.#context.exclusive.run(`policy ${policyNameOf(call)}`, async () =>
      work(await this.#policy(call)),
    );
  }

  /** Connections of the policy's certificates are bound by what it says now. */
  async #review(policyName: string): Promise<void> {
    const { store, messages } = this.#context;
    for (const certificateId of await store.policies.targetsOf(policyName))
      await messages.review(certificateId);
  }

  async #policy(call: Call): Promise<Policy> {
    const policyName = policyNameOf(call);
    const policy = await this.#context.store.policies.find(policyName);
    if (!policy) throw refusal('ResourceNotFoundException', `Policy not found (name=${policyName})`);
    return policy;
  }

  async #version({ policyName }: Policy, call: Call): Promise<PolicyVersion> {
    const versionId = call.param('versionId');
    const version = await this.#context.store.policyVersions.find(policyName, versionId);
    if (!version) {
      throw refusal(
        'ResourceNotFoundException',
        `Policy version not found (name=${policyName}, version=${versionId})`,
      );
    }
    return version;
  }
}
