/**
 * Policies that are attached to a certificate at AWS IoT, in their default versions. Those that reach a thing through a
 * thing group do not count here.
 */
import { GetPolicyCommand, ListAttachedPoliciesCommand } from '@aws-sdk/client-iot';
import { certificateArn } from '../../model/arn.js';
import type { Policy, PolicyStore } from '../store/store.js';
import type { AwsClients } from './clients.js';
import type { AwsConfig } from './config.js';
import { type AwsServiceName, findAtAws, notHere } from './service-calls.js';
import { ShortCache } from './short-cache.js';

export class AwsPolicies implements PolicyStore {
  readonly #clients: AwsClients;
  readonly #place: Pick<AwsConfig, 'region' | 'accountId'>;
  readonly #name: AwsServiceName;
  readonly #found = new ShortCache<Policy | undefined>();
  readonly #ofCertificate = new ShortCache<Policy[]>();

  constructor(clients: AwsClients, place: Pick<AwsConfig, 'region' | 'accountId'>) {
    this.#clients = clients;
    this.#place = place;
    this.#name = clients.name('AWS IoT', 'iot');
  }

  find(policyName: string): Promise<Policy | undefined> {
    return this.#found.get(policyName, () => this.#get(policyName));
  }

  policiesOf(certificateId: string): Promise<Policy[]> {
    return this.#ofCertificate.get(certificateId, async () => {
      const policies = await Promise.all(
        (await this.#attached(certificateId)).map((name) => this.find(name)),
      );
      return policies.filter((policy) => policy !== undefined);
    });
  }

  readonly create = notHere('CreatePolicy');
  readonly delete = notHere('DeletePolicy');
  readonly list = notHere('ListPolicies');
  readonly attach = notHere('AttachPolicy');
  readonly detach = notHere('DetachPolicy');
  readonly targetsOf = notHere('ListTargetsForPolicy');

  async #attached(certificateId: string): Promise<string[]> {
    const { region, accountId } = this.#place;
    const target = certificateArn(region, accountId, certificateId);
    const names: string[] = [];
    let marker: string | undefined;
    do {
      const command = new ListAttachedPoliciesCommand({ target, marker });
      const answer = await findAtAws(this.#name, 'ListAttachedPolicies', target, (abortSignal) =>
        this.#clients.iot.send(command, { abortSignal }),
      );
      names.push(...(answer?.policies ?? []).flatMap(({ policyName }) => policyName ?? []));
      marker = answer?.nextMarker;
    } while (marker);
    return names;
  }

  async #get(policyName: string): Promise<Policy | undefined> {
    const answer = await findAtAws(this.#name, 'GetPolicy', `policy ${policyName}`, (abortSignal) =>
      this.#clients.iot.send(new GetPolicyCommand({ policyName }), { abortSignal }),
    );
    if (!answer?.policyDocument || !answer.policyArn) return undefined;
    return {
      policyName,
      policyArn: answer.policyArn,
      document: answer.policyDocument,
      versionId: answer.defaultVersionId ?? '1',
      createdAt: (answer.creationDate ?? new Date(0)).toISOString(),
    };
  }
}
