/** AWS IoT: policies, and the certificates that they speak for. */
import { checkJson, z } from '../../lib/check.js';
import { certificateArn } from '../../model/arn.js';
import type { Policy } from '../store/store.js';
import { ConflictError } from '../store/store.js';
import type { ApiContext } from './context.js';
import { refusal } from './errors.js';
import {
  certificateIdOfPrincipal,
  checkPolicyName,
  epochSeconds,
  nextPage,
  policyNameOf,
} from './iot-names.js';
import type { Call, Operation } from './operation.js';
import { IOT_MARKERS, page, pageOf } from './paging.js';

/** AWS IoT's quota, white space not counted. */
const MAX_DOCUMENT = 2048;

const oneOrMore = z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]);
const statement = z.object({
  Effect: z.enum(['Allow', 'Deny']),
  Action: oneOrMore,
  Resource: oneOrMore,
});
const policyDocument = z.object({
  Version: z.literal('2012-10-17'),
  Statement: z.union([statement, z.array(statement).min(1)]),
});

const creation = z.object({ policyDocument: z.string().min(1).max(65_536) });
const target = z.object({ target: z.string().max(2048).optional() });

export function policyOperations(context: ApiContext): Operation[] {
  const policies = new Policies(context);
  const one = '/policies/:policyName';
  const ofTarget = '/target-policies/:policyName';
  const ofPrincipal = '/principal-policies/:policyName';
  return [
    { name: 'CreatePolicy', method: 'POST', path: one, handle: (call) => policies.create(call) },
    { name: 'GetPolicy', method: 'GET', path: one, handle: (call) => policies.get(call) },
    { name: 'ListPolicies', method: 'GET', path: '/policies', handle: (call) => policies.list(call) },
    { name: 'DeletePolicy', method: 'DELETE', path: one, handle: (call) => policies.delete(call) },
    {
      name: 'AttachPolicy',
      method: 'PUT',
      path: ofTarget,
      handle: (call) => policies.attach(call, bodyTarget(call)),
    },
    {
      name: 'DetachPolicy',
      method: 'POST',
      path: ofTarget,
      handle: (call) => policies.detach(call, bodyTarget(call)),
    },
    {
      name: 'AttachPrincipalPolicy',
      method: 'PUT',
      path: ofPrincipal,
      handle: (call) => policies.attach(call, headerPrincipal(call)),
    },
    {
      name: 'DetachPrincipalPolicy',
      method: 'DELETE',
      path: ofPrincipal,
      handle: (call) => policies.detach(call, headerPrincipal(call)),
    },
    {
      name: 'ListAttachedPolicies',
      method: 'POST',
      path: '/attached-policies/:target',
      isReading: true,
      handle: (call) =>
        policies.ofCertificate(call, certificateIdOfPrincipal(call.param('target'), 'target')),
    },
    {
      name: 'ListPrincipalPolicies',
      method: 'GET',
      path: '/principal-policies',
      handle: (call) => policies.ofCertificate(call, headerPrincipal(call)),
    },
    {
      // The older one, without pages to speak of.
      name: 'ListPolicyPrincipals',
      method: 'GET',
      path: '/policy-principals',
      handle: async (call) => {
        const { targets: principals, ...next } = await policies.targets(
          call,
          checkPolicyName(call.header('x-amzn-iot-policy') ?? ''),
        );
        return { principals, ...next };
      },
    },
    {
      name: 'ListTargetsForPolicy',
      method: 'POST',
      path: '/policy-targets/:policyName',
      isReading: true,
      handle: (call) => policies.targets(call, policyNameOf(call)),
    },
  ];
}

class Policies {
  readonly #context: ApiContext;

  constructor(context: ApiContext) {
    this.#context = context;
  }

  async create(call: Call): Promise<object> {
    const policyName = policyNameOf(call);
    const { policyDocument: document } = call.json(creation);
    checkPolicyDocument(document);
    const { region, accountId, store } = this.#context;
    const policy: Policy = {
      policyName,
      policyArn: `arn:aws:iot:${region}:${accountId}:policy/${policyName}`,
      document,
      versionId: '1',
      createdAt: new Date().toISOString(),
    };
    try {
      await store.policies.create(policy);
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error;
      throw refusal(
        'ResourceAlreadyExistsException',
        `Policy cannot be created - name already exists (name=${policyName})`,
      );
    }
    return { ...identify(policy), policyDocument: document, policyVersionId: policy.versionId };
  }

  async get(call: Call): Promise<object> {
    const policy = await this.#find(policyNameOf(call));
    return {
      ...identify(policy),
      policyDocument: policy.document,
      defaultVersionId: policy.versionId,
      creationDate: epochSeconds(policy.createdAt),
      lastModifiedDate: epochSeconds(policy.createdAt),
    };
  }

  async list(call: Call): Promise<object> {
    const { items, next } = await page(call, {
      scope: 'policies',
      names: IOT_MARKERS,
      fetch: (limit, after) => this.#context.store.policies.list(limit, after),
      keyOf: ({ policyName }) => policyName,
    });
    return { policies: items.map(identify), ...nextPage('nextMarker', next) };
  }

  async delete(call: Call): Promise<undefined> {
    const { policyName } = await this.#find(policyNameOf(call));
    if ((await this.#context.store.policies.targetsOf(policyName)).length > 0) {
      throw refusal(
        'DeleteConflictException',
        `The policy cannot be deleted as the policy is attached to one or more principals (name=${policyName})`,
      );
    }
    if ((await this.#context.store.policyVersions.list(policyName)).length > 1) {
      throw refusal(
        'DeleteConflictException',
        `Cannot delete the policy because it has one or more policy versions attached to it (name=${policyName})`,
      );
    }
    await this.#context.store.policies.delete(policyName);
    return undefined;
  }

  async attach(call: Call, certificateId: string): Promise<undefined> {
    const { policyName } = await this.#find(policyNameOf(call));
    if (!(await this.#context.store.certificates.find(certificateId))) {
      throw refusal('ResourceNotFoundException', `The certificate ${certificateId} does not exist`);
    }
    await this.#context.store.policies.attach(policyName, certificateId);
    await this.#context.messages.review(certificateId);
    return undefined;
  }

  async detach(call: Call, certificateId: string): Promise<undefined> {
    const { policyName } = await this.#find(policyNameOf(call));
    await this.#context.store.policies.detach(policyName, certificateId);
    await this.#context.messages.review(certificateId);
    return undefined;
  }

  async ofCertificate(call: Call, certificateId: string): Promise<object> {
    const policies = await this.#context.store.policies.policiesOf(certificateId);
    const paging = {
      scope: `policies/${certificateId}`,
      names: IOT_MARKERS,
      keyOf: (policy: Policy) => policy.policyName,
    };
    const { items, next } = await pageOf(call, paging, policies);
    return { policies: items.map(identify), ...nextPage('nextMarker', next) };
  }

  async targets(call: Call, policyName: string): Promise<{ targets: string[]; nextMarker?: string }> {
    await this.#find(policyName);
    const { region, accountId, store } = this.#context;
    const ids = await store.policies.targetsOf(policyName);
    const paging = { scope: `targets/${policyName}`, names: IOT_MARKERS, keyOf: (id: string) => id };
    const { items, next } = await pageOf(call, paging, ids);
    return {
      targets: items.map((id) => certificateArn(region, accountId, id)),
      ...nextPage('nextMarker', next),
    };
  }

  async #find(policyName: string): Promise<Policy> {
    const policy = await this.#context.store.policies.find(policyName);
    if (!policy) throw refusal('ResourceNotFoundException', `Policy not found (name=${policyName})`);
    return policy;
  }
}

/** Throws MalformedPolicyException, with what is wrong. */
export function checkPolicyDocument(document: string): void {
  try {
    if (document.replace(/\s/g, '').length > MAX_DOCUMENT) {
      throw new Error(`it is longer than ${MAX_DOCUMENT} characters`);
    }
    checkJson(policyDocument, document, 'the policy document is malformed');
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw refusal('MalformedPolicyException', `Policy document is Malformed: ${reason}`);
  }
}

function bodyTarget(call: Call): string {
  return certificateIdOfPrincipal(call.json(target).target, 'target');
}

function headerPrincipal(call: Call): string {
  return certificateIdOfPrincipal(call.header('x-amzn-iot-principal'), 'principal');
}

function identify({ policyName, policyArn }: Policy): object {
  return { policyName, policyArn };
}
