/**
 * What a client of the cloud's MQTT server may do, by AWS IoT's rules. Connect and subscribe are decided by the policies
 * as they are now. Publications and deliveries (iot:Receive) are decided without asking the store, by the policies as
 * they were last read for the connection: at its last request of another kind, or at the broker's last review. A
 * publication is refused only after a look at the policies as they are now.
 */
import { filterProblem, MAX_MESSAGE_BYTES, topicProblem } from '../../model/topic.js';
import type { Connection } from './connection.js';
import { addressOf, policyDocumentsOf, type Registry, withThing } from './device-identity.js';
import { clientIdProblem } from './limits.js';
import { isAllowed } from './policy.js';
import { isBasicIngest, reservedFilterProblem, reservedPublishProblem } from './reserved-topics.js';

/** Lists of policies that connections share; most devices of a fleet have the same. */
const MAX_SHARED_LISTS = 1000;

export interface Refusal {
  readonly reason: string;
  /** The policies say no; otherwise AWS IoT's rules do, whatever the policies say. */
  readonly isByPolicy: boolean;
}

export interface PublishRequest {
  readonly topic: string;
  readonly qos: number;
  readonly retain: boolean;
  /** Length of the payload. */
  readonly bytes: number;
}

const BY_RULE = (reason: string): Refusal => ({ reason, isByPolicy: false });
const BY_POLICY = (reason: string): Refusal => ({ reason, isByPolicy: true });

export class ClientPermissions {
  readonly #store: Registry;
  readonly #arnPrefix: string;
  readonly #lists = new Map<string, readonly string[]>();

  constructor(store: Registry, region: string, accountId: string) {
    this.#store = store;
    this.#arnPrefix = `arn:aws:iot:${region}:${accountId}:`;
  }

  /** Why the client may not connect, or undefined. From here on the connection speaks under this client id. */
  async connectRefusal(connection: Connection, clientId: string): Promise<Refusal | undefined> {
    const problem = clientIdProblem(clientId);
    if (problem) return BY_RULE(problem);
    const things = await this.#store.things.thingsOf(connection.certificateId);
    const sourceIp = addressOf(connection.socket);
    connection.variables = {
      clientId,
      ...(things.includes(clientId) ? { thingName: clientId } : {}),
      ...(sourceIp === undefined ? {} : { sourceIp }),
    };
    await this.refresh(connection);
    return this.#policyRefusal(connection, 'iot:Connect', `client/${clientId}`);
  }

  /** Why the publication ends the connection, or undefined. */
  async publishRefusal(connection: Connection, publication: PublishRequest): Promise<Refusal | undefined> {
    const { topic } = publication;
    const problem = publishProblem(publication);
    if (problem) return BY_RULE(problem);
    const resource = `topic/${topic}`;
    if (!this.#policyRefusal(connection, 'iot:Publish', resource)) return undefined;
    await this.refresh(connection);
    return this.#policyRefusal(connection, 'iot:Publish', resource);
  }

  /** Why the subscription is refused, or undefined. */
  async subscribeRefusal(connection: Connection, filter: string): Promise<Refusal | undefined> {
    const problem =
      filterProblem(filter) ?? (filter.startsWith('$') ? reservedFilterProblem(filter) : undefined);
    if (problem) return BY_RULE(problem);
    await this.refresh(connection);
    return this.#policyRefusal(connection, 'iot:Subscribe', `topicfilter/${filter}`);
  }

  mayReceive({ isRevoked, policies, variables }: Connection, topic: string): boolean {
    if (isRevoked || isBasicIngest(topic)) return false;
    return isAllowed(policies, {
      ...{ action: 'iot:Receive', resource: `${this.#arnPrefix}topic/${topic}` },
      variables,
    });
  }

  /** Reads the policies again, and of the thing what they speak of. */
  async refresh(connection: Connection): Promise<void> {
    const policies = this.#share(await policyDocumentsOf(this.#store, connection.certificateId));
    connection.variables = await withThing(this.#store, policies, connection.variables);
    connection.policies = policies;
  }

  #policyRefusal(connection: Connection, action: string, resource: string): Refusal | undefined {
    const { isRevoked, policies, variables } = connection;
    if (isRevoked) return BY_POLICY('the certificate is not active');
    return isAllowed(policies, { action, resource: this.#arnPrefix + resource, variables })
      ? undefined
      : BY_POLICY('the policy does not allow it');
  }

  /** One list for all that have the same: tens of thousands of connections must not hold a copy each. */
  #share(documents: readonly string[]): readonly string[] {
    const key = documents.join('\u0000');
    const known = this.#lists.get(key);
    if (known) return known;
    if (this.#lists.size >= MAX_SHARED_LISTS) this.#lists.clear();
    this.#lists.set(key, documents);
    return documents;
  }
}

function publishProblem({ topic, qos, retain, bytes }: PublishRequest): string | undefined {
  if (qos === 2) return 'QoS 2 is not supported';
  if (bytes > MAX_MESSAGE_BYTES) return `${bytes} bytes are more than the limit of ${MAX_MESSAGE_BYTES}`;
  const problem = topicProblem(topic);
  if (problem || !topic.startsWith('$')) return problem;
  return retain ? 'topics that start with $ can not be retained' : reservedPublishProblem(topic);
}
