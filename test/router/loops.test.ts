/** Subscriptions that lead in a circle: refused, or each message comes to rest. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Router } from '../../greengrass/core/router/router.js';
import { compileTable } from '../../greengrass/core/router/subscription-table.js';
import { ShadowEndpoint } from '../../greengrass/core/shadow/shadow-endpoint.js';
import { ShadowService } from '../../greengrass/core/shadow/shadow-service.js';
import { shadowStorePath } from '../../greengrass/core/shadow/shadow-store.js';
import { silentLogger } from '../../greengrass/lib/log.js';
import { waitFor } from '../support/wait-for.js';

const LAMP = 'arn:aws:iot:us-east-1:123456789012:thing/lamp';
const SHADOW = '$aws/things/lamp/shadow/update';
let root: string;
let router: Router;
let service: ShadowService;
let emitted: string[];
beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'greengrass-loops-'));
  emitted = [];
  router = new Router({ logger: silentLogger() });
  service = new ShadowService({
    path: shadowStorePath(root),
    emit: (message) => {
      emitted.push(message.topic);
      router.route(message);
    },
    logger: silentLogger(),
  });
  await service.start();
  router.register('GGShadowService', new ShadowEndpoint(service));
});
afterEach(async () => {
  await service.stop();
  rmSync(root, { recursive: true, force: true });
});

it('the shadow service as its own target takes none of its answers for a request', async () => {
  const everything = ['#', '$aws/#', '$aws/things/+/shadow/#'];
  router.swap(
    compileTable([
      { Source: LAMP, Subject: SHADOW, Target: 'GGShadowService' },
      ...everything.map((Subject) => ({
        Source: 'GGShadowService',
        Subject,
        Target: 'GGShadowService',
      })),
    ]),
  );
  const payload = Buffer.from('{"state":{"desired":{"on":true}}}');
  router.route({ source: LAMP, topic: SHADOW, payload, qos: 0 });
  await waitFor(() => emitted.length === 3);
  // Another request goes through the same service after all of it.
  await service.request('lamp', 'get');
  expect(emitted.filter((topic) => topic.startsWith(`${SHADOW}/`))).toHaveLength(3);
  expect(emitted).toHaveLength(4);
});

it('a device that is its own target gets its message once, and nothing more happens', () => {
  let got = 0;
  router.register(LAMP, {
    deliver: () => {
      got += 1;
      return true;
    },
  });
  router.swap(
    compileTable(['a', '#', 'a/#', '+'].map((Subject) => ({ Source: LAMP, Subject, Target: LAMP }))),
  );
  expect(router.route({ source: LAMP, topic: 'a', payload: Buffer.from('x'), qos: 0 })).toEqual({
    matched: 1,
    refused: 0,
  });
  expect(got).toBe(1);
});

it('functions are known by their version: another one, or none, is another source', () => {
  const arn = (end: string) => `arn:aws:lambda:us-east-1:123456789012:function:f${end}`;
  router.register('cloud', { deliver: () => true });
  router.swap(compileTable([{ Source: arn(':2'), Subject: 'a', Target: 'cloud' }]));
  const matched = (source: string) =>
    router.route({ source, topic: 'a', payload: Buffer.from('x'), qos: 0 }).matched;
  expect([':2', ':1', ':20', ':live', ''].map((end) => matched(arn(end)))).toEqual([1, 0, 0, 0, 0]);
});
