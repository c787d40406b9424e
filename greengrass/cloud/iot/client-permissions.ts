/**
 * What a client of the cloud's MQTT server may do, by AWS IoT's rules. Connect, publish and subscribe are decided by the
 * policies as they are now. A delivery (iot:Receive) is decided without waiting, topic by topic, by the policies as they
 * were last read for the connection: at its last request, or at the broker's last review.
 */
import { filterProblem, parseShadowTopic, topicProblem } from '../../model/topic.js';
import { policyDocumentsOf, type Registry } from './device-identity.js';
import { isAllowed, type PolicyVariables } from './policy.js';

export interface Connection {
  readonly certificateId: string;
  variables: PolicyVariables;
  /** Documents of the certificate's policies, as they were last read. */
  policies: readonly string[];
  /** The certificate is no longer ACTIVE: nothing more is taken, not even the will. */
  isRevoked: boolean;
}

export function newConnection(certificateId: string): Connection {
  return { certificateId, variables: {}, policies: [], isRevoked: false };
}

/** As a value of `${iot:ClientId}` these would widen a filter, or break a line of the log. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const UNFIT_CLIENT_ID = /[+#\u0000-\u001f\u007f]/;

export class ClientPermissions {
  readonly #store: Registry;
  readonly #arnPrefix: string;

  constructor(store: Registry, region: string, accountId: string) {
    this.#store = store;
    this.#arnPrefix = `arn:aws:iot:${region}:${accountId}:`;
  }

  /** Why the client may not connect, or undefined. From here on the connection speaks under this client id. */
  async connectRefusal(connection: Connection, clientId: string): Promise<string | undefined> {
    if (UNFIT_CLIENT_ID.test(clientId)) return 'a client id must be free of wildcards and control characters';
    const things = await this.#store.things.thingsOf(connection.certificateId);
    connection.variables = { clientId, ...(things.includes(clientId) ? { thingName: clientId } : {}) };
    return this.#refusal(connection, 'iot:Connect', `client/${clientId}`);
  }

  /** Why the publication ends the connection, or undefined. */
  async publishRefusal(connection: Connection, topic: string, qos: number): Promise<string | undefined> {
    if (qos === 2) return 'QoS 2 is not supported';
    const problem = topicProblem(topic);
    if (problem) return problem;
    if (topic.startsWith('$')) {
      const shadow = parseShadowTopic(topic);
      if (!shadow || shadow.kind !== undefined) return 'topics that start with $ are reserved';
    }
    return this.#refusal(connection, 'iot:Publish', `topic/${topic}`);
  }

  /** Why the subscription is refused, or undefined. */
  async subscribeRefusal(connection: Connection, filter: string): Promise<string | undefined> {
    const problem = filterProblem(filter);
    if (problem) return problem;
    // `$SYS` tells of other clients; `$share` would be taken as an ordinary topic.
    if (filter.startsWith('$') && !filter.startsWith('$aws/')) return 'topics that start with $ are reserved';
    return this.#refusal(connection, 'iot:Subscribe', `topicfilter/${filter}`);
  }

  mayReceive({ isRevoked, policies, variables }: Connection, topic: string): boolean {
    const request = { action: 'iot:Receive', resource: `${this.#arnPrefix}topic/${topic}`, variables };
    return !isRevoked && isAllowed(policies, request);
  }

  /** Reads the policies again. */
  async refresh(connection: Connection): Promise<void> {
    connection.policies = await policyDocumentsOf(this.#store, connection.certificateId);
  }

  async #refusal(connection: Connection, action: string, resource: string): Promise<string | undefined> {
    await this.refresh(connection);
    if (connection.isRevoked) return 'the certificate is not active';
    const { policies, variables } = connection;
    return isAllowed(policies, { action, resource: this.#arnPrefix + resource, variables })
      ? undefined
      : 'the policy does not allow it';
  }
}
