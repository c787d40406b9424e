/**
 * A broker in a process of its own, to be killed: `node broker-process.js <database> <certificate> <key>`. Prints its
 * port in a line once it serves; ends with its standard input.
 */
import { readFileSync } from 'node:fs';
import { CloudBroker } from '../../greengrass/cloud/iot/broker.js';
import { CloudShadows } from '../../greengrass/cloud/iot/shadows.js';
import { openSqliteStore } from '../../greengrass/cloud/store/sqlite-store.js';
import { silentLogger } from '../../greengrass/lib/log.js';

const [database = '', certificate = '', key = ''] = process.argv.slice(2);
const store = await openSqliteStore(database);
const broker = new CloudBroker({
  ...{ store, shadows: new CloudShadows(store), logger: silentLogger() },
  tls: { certPem: readFileSync(certificate, 'utf8'), keyPem: readFileSync(key, 'utf8') },
  ...{ host: '127.0.0.1', port: 0, region: 'us-east-1', accountId: '123456789012' },
});
await broker.start();
process.stdout.write(`${broker.port}\n`);
process.stdin.resume();
process.stdin.once('end', () => process.exit(0));
