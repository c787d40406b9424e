/** The conformance table against the local service and against the cloud's, over MQTT, and over HTTP where it has a word for it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MqttClient } from 'mqtt';
import { Router } from '../../greengrass/core/router/router.js';
import { compileTable } from '../../greengrass/core/router/subscription-table.js';
import { ShadowEndpoint } from '../../greengrass/core/shadow/shadow-endpoint.js';
import { ShadowService } from '../../greengrass/core/shadow/shadow-service.js';
import { silentLogger } from '../../greengrass/lib/log.js';
import { shadowKey, shadowTopic } from '../../greengrass/model/topic.js';
import { ALLOW_ALL, type CloudParts, startCloudParts } from '../support/cloud-parts.js';
import { waitFor } from '../support/wait-for.js';
import {
  type Answer,
  answersFor,
  payloadOf,
  type Request,
  type Row,
  TABLE,
  withoutTimes,
} from './conformance-table.js';

/** A shadow service, as one who talks to it by topics sees it. */
interface Service {
  send(topic: string, payload: string): void;
  /** Answers on topics of shadows, in the order in which they came. */
  readonly answers: Array<{ topic: string; payload: Buffer }>;
}

let things = 0;

async function ask(
  service: Service,
  thingName: string,
  shadowName: string | undefined,
  request: Request,
  expected: number,
) {
  const key = shadowKey(thingName, shadowName);
  const base = shadowTopic(key, 'get').slice(0, -'get'.length);
  const before = service.answers.length;
  service.send(shadowTopic(key, request.operation), payloadOf(request));
  const own = () => service.answers.slice(before).filter(({ topic }) => topic.startsWith(base));
  await waitFor(() => own().length >= expected, {
    intervalMs: 1,
    what: `${expected} answers to ${payloadOf(request)}`,
  });
  return own().map(
    ({ topic, payload }): Answer => ({
      topic: topic.slice(base.length),
      body: withoutTimes(JSON.parse(payload.toString('utf8'))),
    }),
  );
}

async function check(service: Service, row: Row, shadowName?: string): Promise<void> {
  const thingName = `t${++things}`;
  for (const request of row.given) await ask(service, thingName, shadowName, request, 1);
  // The stragglers of what was given: documents come last, and a get that is refused or not ends the row of answers.
  await ask(service, thingName, shadowName, { operation: 'get' }, 1);
  const expected = answersFor(row, thingName, shadowName);
  const answers = await ask(service, thingName, shadowName, row.request, expected.length);
  expect(answers).toEqual(expected);
}

describe('the local shadow service', () => {
  let folder: string;
  let shadows: ShadowService;
  const answers: Service['answers'] = [];
  let service: Service;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'greengrass-conformance-'));
    const router = new Router({ logger: silentLogger() });
    shadows = new ShadowService({
      path: join(folder, 'shadow.db'),
      logger: silentLogger(),
      emit: (message) => router.route(message),
    });
    router.register('GGShadowService', new ShadowEndpoint(shadows));
    router.register('cloud', {
      deliver: ({ topic, payload }) => answers.push({ topic, payload: Buffer.from(payload) }) > 0,
    });
    router.swap(
      compileTable([
        { Id: '1', Source: 'cloud', Subject: '$aws/things/#', Target: 'GGShadowService' },
        { Id: '2', Source: 'GGShadowService', Subject: '$aws/things/#', Target: 'cloud' },
      ]),
    );
    service = {
      answers,
      send: (topic, text) => router.route({ source: 'cloud', topic, payload: Buffer.from(text), qos: 0 }),
    };
    await shadows.start();
  });
  afterAll(async () => {
    await shadows.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it.each(TABLE.map((row) => [row.rule, row] as const))('%s', (_rule, row) => check(service, row));
  it.each(TABLE.map((row) => [row.rule, row] as const))('in a named shadow: %s', (_rule, row) =>
    check(service, row, 'config'),
  );
});

describe("the cloud's shadow service", () => {
  let cloud: CloudParts;
  let client: MqttClient;
  let service: Service;
  beforeAll(async () => {
    cloud = await startCloudParts();
    client = await cloud.connect(await cloud.identity('tester', ALLOW_ALL), { clientId: 'tester' });
    const answers: Service['answers'] = [];
    client.on('message', (topic, payload) => answers.push({ topic, payload }));
    for (const shadow of ['shadow', 'shadow/name/+']) {
      await client.subscribeAsync(`$aws/things/+/${shadow}/+/+`);
    }
    service = { answers, send: (topic, text) => client.publish(topic, text) };
  });
  afterAll(() => cloud.close());

  it.each(TABLE.map((row) => [row.rule, row] as const))('%s', (_rule, row) => check(service, row));
  it.each(TABLE.map((row) => [row.rule, row] as const))('in a named shadow: %s', (_rule, row) =>
    check(service, row, 'config'),
  );
});
