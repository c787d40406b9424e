/** Things as AWS IoT's registry has them. What changes them refuses: that is done at AWS. */
import { DescribeThingCommand, ListPrincipalThingsCommand } from '@aws-sdk/client-iot';
import { certificateArn } from '../../model/arn.js';
import type { Thing, ThingStore } from '../store/store.js';
import type { AwsClients } from './clients.js';
import type { AwsConfig } from './config.js';
import { type AwsServiceName, findAtAws, notHere } from './service-calls.js';
import { ShortCache } from './short-cache.js';

export class AwsThings implements ThingStore {
  readonly #clients: AwsClients;
  readonly #place: Pick<AwsConfig, 'region' | 'accountId'>;
  readonly #name: AwsServiceName;
  readonly #found = new ShortCache<Thing | undefined>();
  readonly #ofCertificate = new ShortCache<string[]>();

  constructor(clients: AwsClients, place: Pick<AwsConfig, 'region' | 'accountId'>) {
    this.#clients = clients;
    this.#place = place;
    this.#name = clients.name('AWS IoT', 'iot');
  }

  find(thingName: string): Promise<Thing | undefined> {
    if (thingName === '') return Promise.resolve(undefined);
    return this.#found.get(thingName, () => this.#describe(thingName));
  }

  thingsOf(certificateId: string): Promise<string[]> {
    return this.#ofCertificate.get(certificateId, () => this.#things(certificateId));
  }

  readonly create = notHere('CreateThing');
  readonly update = notHere('UpdateThing');
  readonly delete = notHere('DeleteThing');
  readonly list = notHere('ListThings');
  readonly attachPrincipal = notHere('AttachThingPrincipal');
  readonly principalsOf = notHere('ListThingPrincipals');
  readonly detachPrincipal = notHere('DetachThingPrincipal');

  async #describe(thingName: string): Promise<Thing | undefined> {
    const answer = await findAtAws(this.#name, 'DescribeThing', `thing ${thingName}`, (abortSignal) =>
      this.#clients.iot.send(new DescribeThingCommand({ thingName }), { abortSignal }),
    );
    if (!answer?.thingArn) return undefined;
    const { thingArn, thingId = '', attributes = {}, thingTypeName, version = 1 } = answer;
    return {
      ...{ thingName, thingArn, thingId, attributes, version },
      ...(thingTypeName === undefined ? {} : { thingTypeName }),
      // AWS IoT does not tell it.
      createdAt: new Date(0).toISOString(),
    };
  }

  async #things(certificateId: string): Promise<string[]> {
    const { region, accountId } = this.#place;
    const principal = certificateArn(region, accountId, certificateId);
    const names: string[] = [];
    let nextToken: string | undefined;
    do {
      const command = new ListPrincipalThingsCommand({ principal, nextToken });
      const answer = await findAtAws(this.#name, 'ListPrincipalThings', principal, (abortSignal) =>
        this.#clients.iot.send(command, { abortSignal }),
      );
      names.push(...(answer?.things ?? []));
      nextToken = answer?.nextToken;
    } while (nextToken);
    return names;
  }
}
