/** What hostile code tries from inside a Node function by Node's own means. As in attacks.ts: `won(what)` is a success. */
import type { Attack } from './attacks.js';

export const NODE_ATTACKS: ReadonlyArray<Omit<Attack, 'inContainerOnly'>> = [
  {
    what: "read the core's private key",
    script: `won(require('fs').readFileSync('{{root}}/certs/attacked.key', 'utf8'))`,
  },
  {
    what: "list the core's folder",
    script: `const names = require('fs').readdirSync('{{root}}'); if (names.length > 0) won(names)`,
  },
  {
    what: 'copy the key to a volume',
    script: `require('fs').copyFileSync('{{root}}/certs/attacked.key', '{{volume}}/stolen'); won('copied')`,
  },
  {
    what: "read another function's environment",
    script: `
const fs = require('fs');
for (const pid of fs.readdirSync('/proc').filter((name) => /^\\d+$/.test(name))) {
  let text = '';
  try { text = fs.readFileSync('/proc/' + pid + '/environ', 'latin1'); } catch {}
  if (text.includes('{{secret}}')) won(pid);
}
won(fs.readFileSync('/proc/{{victimPid}}/environ', 'latin1'));`,
  },
  { what: 'signal a process of the host', script: `process.kill({{hostPid}}, 0); won('reached')` },
  { what: "open another function's debugger", script: `process._debugProcess({{victimPid}}); won('opened')` },
  { what: 'become root', ordinaryOnly: true, script: `process.setuid(0); won(process.getuid())` },
  {
    what: 'start a program as another user',
    ordinaryOnly: true,
    script: `
const { error, stdout } = require('child_process').spawnSync('/usr/bin/id', ['-u'], { uid: 0, encoding: 'utf8' });
if (error) throw error;
won(stdout);`,
  },
  {
    what: 'become root by a setuid program',
    ordinaryOnly: true,
    script: `
const id = require('child_process').execFileSync('{{volume}}/id', ['-u'], { encoding: 'utf8' }).trim();
if (id === '0') won(id);`,
  },
  {
    what: "connect to the core's socket",
    script: `
await new Promise((resolve, reject) => require('net').connect('{{socket}}', resolve).on('error', reject));
won('connected');`,
  },
  {
    what: 'listen on a privileged port',
    ordinaryOnly: true,
    script: `
await new Promise((resolve, reject) => require('net').createServer().on('error', reject).listen(787, '127.0.0.1', resolve));
won('bound');`,
  },
  {
    what: "take another function's work with its own token",
    script: `
const headers = { Authorization: process.env.AWS_CONTAINER_AUTHORIZATION_TOKEN };
const url = 'http://127.0.0.1:{{port}}/2016-11-01/functions/{{victimArn}}';
const { status } = await fetch(url + '/work', { headers });
if (status !== 403) won('work ' + status);
const result = await fetch(url + '/work', { method: 'POST', headers: { ...headers, 'X-Amz-InvocationId': '00000000-0000-4000-8000-000000000000' }, body: '1' });
if (result.status < 400) won('result ' + result.status);`,
  },
  {
    what: 'write to its code, the runtimes, the system',
    script: `
const fs = require('fs');
for (const path of ['/lambda/main.js', '/runtime/nodejs/lambda_nodejs_runtime.js', '/etc/passwd', '/usr/bin/node', '/ro/x', '/proc/self/exe'])
  try { fs.openSync(path, 'r+'); won(path); } catch {}
for (const path of ['/lambda/x', '/runtime/x', '/etc/x', '/ro/x', '/x'])
  try { fs.writeFileSync(path, ''); won(path); } catch {}`,
  },
  {
    what: 'load native code from where it may write',
    script: `
// Loading it is no crime; rights would be.
const fs = require('fs');
const status = fs.readFileSync('/proc/self/status', 'latin1');
if (!/NoNewPrivs:\\t1/.test(status) || !/Seccomp:\\t2/.test(status)) won(status);`,
  },
];
