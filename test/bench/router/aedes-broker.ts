/** aedes as it comes, under mutual TLS, with the same rights: who may publish and subscribe where. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createServer, type TLSSocket } from 'node:tls';
import { Aedes } from 'aedes';
import { thingNameOf } from '../../../greengrass/model/arn.js';
import { filterMatches } from '../../../greengrass/model/topic.js';
import type { Fixture } from './fixture.js';

const fixture = JSON.parse(readFileSync(process.argv[2] as string, 'utf8')) as Fixture;
const read = (name: string) => readFileSync(join(fixture.folder, name), 'utf8');
const mayWrite = new Map<string, string[]>();
const mayRead = new Map<string, Set<string>>();
for (const { Source, Subject, Target } of fixture.subscriptions) {
  const [from, to] = [thingNameOf(Source) as string, thingNameOf(Target) as string];
  mayWrite.set(from, [...(mayWrite.get(from) ?? []), Subject]);
  mayRead.set(to, (mayRead.get(to) ?? new Set()).add(Subject));
}
const mayReadAny = [...mayRead.values()].some((filters) => filters.size > 0);
const known = new Map<string, boolean>();
const broker = new Aedes({
  authorizePublish: (client, packet, done) => {
    const key = `${client?.id}\n${packet.topic}`;
    let allowed = known.get(key);
    if (allowed === undefined) {
      allowed = (mayWrite.get(client?.id ?? '') ?? []).some((filter) => filterMatches(filter, packet.topic));
      known.set(key, allowed);
    }
    done(allowed ? null : new Error('not allowed'));
  },
  authorizeSubscribe: (client, subscription, done) => {
    const filters = [...(mayRead.get(client.id) ?? [])];
    const allowed = mayReadAny && filters.some((f) => filterMatches(subscription.topic, f.replace('+', '0')));
    done(null, allowed ? subscription : null);
  },
});
await broker.listen();
const server = createServer(
  { cert: read('server.pem'), key: read('server.key'), ca: read('ca.pem'), requestCert: true },
  (socket: TLSSocket) => {
    socket.setNoDelay(true);
    broker.handle(socket);
  },
);
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  process.stdout.write(`${JSON.stringify({ port: typeof address === 'object' ? address?.port : 0 })}\n`);
});
process.once('SIGTERM', () => process.exit(0));
