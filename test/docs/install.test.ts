/**
 * docs/install.md, run as it stands: its blocks, in their order, by a shell, with the real clients, from the package to
 * a message of a function that a device receives. Only places and ports are others, so that it can run beside anything.
 */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../greengrass/dev/programs.js';
import { PACKAGE_ROOT } from '../../greengrass/lib/package-root.js';
import { type Ended, run } from '../cli/gg.js';
import { describeAsRoot } from '../support/as-root.js';

/** The compiled programs of the same build as this test. */
const BUILD = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const PROGRAMS = {
  gg: 'greengrass/cli/gg.js',
  'greengrass-cloud': 'greengrass/cloud/bin/greengrass-cloud.js',
};
const CLIENTS = ['jq', 'zip', 'aws', 'mosquitto_sub', 'mosquitto_pub', 'curl'];
const missing = CLIENTS.filter(
  (name) => !['/usr/bin', '/usr/local/bin'].some((at) => existsSync(join(at, name))),
);
if (missing.length > 0) console.warn(`skipped: docs/install.md needs ${missing.join(', ')}`);
const describeWithClients = missing.length === 0 ? describeAsRoot : describe.skip;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'greengrass-install-'));
  chmodSync(folder, 0o755);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What an operator would type, without what changes this machine or takes minutes: that is done by the test. */
function blocks(): string[] {
  const text =
    readFileSync(join(PACKAGE_ROOT, 'docs/install.md'), 'utf8').split('## When something')[0] ?? '';
  const found = [...text.matchAll(/^```\n(.*?)^```$/gms)].map(([, block = '']) => block);
  return found.filter((block) => !/^# \/etc|npm run|npm link|adduser|zip -qr/m.test(block));
}

function program(name: string, script: string): void {
  const path = join(folder, 'bin', name);
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
}

/** The machine that the page takes for granted: programs on the PATH, the package unpacked, ggc_user and ggc_group. */
async function prepare(): Promise<void> {
  for (const name of ['bin', 'home', 'run']) mkdirSync(join(folder, name));
  for (const [name, path] of Object.entries(PROGRAMS))
    program(name, `exec '${process.execPath}' '${join(BUILD, path)}' "$@"`);
  program('sudo', 'exec "$@"');
  const script = join(PACKAGE_ROOT, 'greengrass/dev/package.mjs');
  const made = await run(process.execPath, [script, '--dist', BUILD, '--linked', folder], {});
  expect(made).toMatchObject({ code: 0 });
  expect(await run('tar', ['-xzf', made.out.trim(), '-C', folder], {})).toMatchObject({ code: 0 });
  for (const [name, line] of [
    ['passwd', 'ggc_user:x:64991:64991::/nonexistent:/usr/sbin/nologin'],
    ['group', 'ggc_group:x:64991:'],
  ]) {
    const known = readFileSync(`/etc/${name}`, 'utf8').split('\n');
    const others = known.filter((other) => other !== '' && !other.startsWith('ggc_'));
    writeFileSync(join(folder, name as string), `${[...others, line].join('\n')}\n`);
  }
}

/** The blocks as one script with this test's places and ports; the accounts are bound over /etc for it alone. */
async function writeScript(): Promise<string> {
  const [api, mqtt, https, core, daemon] = await Promise.all(Array.from({ length: 5 }, freePort));
  const started = `--api-port ${api} --mqtt-port ${mqtt} --https-port ${https} 2>cloud.log &
for i in $(seq 300); do [ -f cloud/ready.json ] && break; sleep .1; done`;
  const page = blocks()
    .map((block) =>
      block
        .replaceAll('/var/lib/greengrass-cloud', join(folder, 'cloud'))
        .replaceAll('REPOSITORY', PACKAGE_ROOT)
        .replaceAll(/(?<=[ =])\/greengrass\b/g, join(folder, 'greengrass'))
        .replaceAll('8884', `${core}`)
        .replaceAll('localhost:8443', `localhost:${https}`)
        .replace(/^(greengrass-cloud start .*)$/m, `$1 ${started}`)
        .replace(
          /^(sudo .* bootstrap .*)$/m,
          `$1 --core-daemon-port ${daemon}\nedited=$(jq '.pidFileDirectory = "${folder}/run"' ${folder}/greengrass/config/config.json)\necho "$edited" > ${folder}/greengrass/config/config.json`,
        )
        // Link protection is a setting of the whole machine, which a test leaves alone.
        .replace('greengrassd start', 'greengrassd -i start'),
    )
    .join('\n');
  const script = join(folder, 'page.sh');
  writeFileSync(
    script,
    `mount --bind ${folder}/passwd /etc/passwd && mount --bind ${folder}/group /etc/group || exit 1
cd ${folder}
set -e -o pipefail
trap '${folder}/greengrass/ggc/core/greengrassd stop >/dev/null; kill %1; wait' EXIT
${page}
`,
  );
  return script;
}

describeWithClients('docs/install.md', () => {
  it('leads, typed as it stands, from nothing to a message of a function at a device', async () => {
    await prepare();
    const env = {
      HOME: join(folder, 'home'),
      USER: 'root',
      PATH: `${join(folder, 'bin')}:${process.env.PATH}`,
    };
    const ended: Ended = await run('unshare', ['-m', 'bash', await writeScript()], env, 150_000);
    expect({ code: ended.code, err: ended.err }).toMatchObject({ code: 0 });
    expect(ended.out).toMatch(/^Deployment .+: Success$/m);
    expect(ended.out).toMatch(/^hello\/world Hello world! Sent from Greengrass Core/m);
    expect(ended.out).toMatch(/"PortNumber": \d+/);
    expect(ended.out).toMatch(/hello\/world {2}from function hello-world:1/);
    expect(ended.out).toMatch(/^connection {2}connected for /m);
  }, 200_000);
});
