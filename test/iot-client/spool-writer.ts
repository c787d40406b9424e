/** What spool-faults.test.ts kills: fills a spool, and prints the number of each message once it is stored. Argument: file. */
import { FileSpool } from '../../greengrass/core/iot-client/file-spool.js';

const [path = ''] = process.argv.slice(2);
const nothing = { onReady: () => undefined, onDropped: () => undefined, onTrouble: () => undefined };
const spool = new FileSpool(path, { maxBytes: 1e9, full: 'keepNewest' }, nothing);
let next = 0;

function turn(): void {
  const last = next + 1 + (next % 13);
  for (; next < last; next++) spool.push(`t/${next % 3}`, Buffer.from(String(next)));
  // Every few turns the cloud has the oldest.
  if (next % 5 === 0) for (const message of spool.after(0, 3, 1e6)) spool.remove(message);
  if (spool.flush()) process.stdout.write(`${last - 1} ${spool.after(0, 1, 1)[0]?.payload}\n`);
  setImmediate(turn);
}

turn();
