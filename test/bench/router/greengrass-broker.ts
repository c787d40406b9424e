/** Our router and local MQTT server in a process of their own: the real parts, as daemon.ts puts them together. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MqttServer } from '../../../greengrass/core/broker/mqtt-server.js';
import { Router } from '../../../greengrass/core/router/router.js';
import { compileTable } from '../../../greengrass/core/router/subscription-table.js';
import { createLogger } from '../../../greengrass/lib/log.js';
import type { Fixture } from './fixture.js';

const fixture = JSON.parse(readFileSync(process.argv[2] as string, 'utf8')) as Fixture;
const read = (name: string) => readFileSync(join(fixture.folder, name), 'utf8');
// As in a core: INFO is on. It goes nowhere here, a log file's cost is not the broker's.
const logger = createLogger({ level: 'info', stream: { write: () => undefined } });
const router = new Router({ logger });
const server = new MqttServer({
  port: 0,
  host: '127.0.0.1',
  certificate: () => ({ certPem: read('server.pem'), keyPem: read('server.key'), caPem: read('ca.pem') }),
  onPublish: (message) => router.route(message),
  settle: () => router.settle(),
  sessionsPath: fixture.sessionsPath ?? join(fixture.folder, `sessions-${process.pid}.db`),
  logger,
});
await server.start();
for (const { thingArn } of fixture.devices) router.register(thingArn, server.endpoint);
router.swap(compileTable(fixture.subscriptions));
server.setGroup({ devices: fixture.devices });
process.stdout.write(`${JSON.stringify({ port: server.port })}\n`);
process.once('SIGTERM', () => void server.stop().then(() => process.exit(0)));
