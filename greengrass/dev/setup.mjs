// Set-up that `npm start` and `npm test` run first: prerequisites, dependencies, build. Plain JavaScript, because
// nothing is installed or compiled when it starts. Does nothing that is done already; says what it does.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const isRoot = process.getuid?.() === 0;

/** Ends with a message that names what is missing, what it is for, and the command that mends it. */
function fail(what, purpose, command) {
  console.error(`\n${what}\n  It is needed for: ${purpose}\n  To mend it: ${command}\n`);
  process.exit(1);
}

function find(program) {
  const folders = [
    ...(process.env.PATH ?? '').split(delimiter),
    '/usr/sbin',
    '/usr/bin',
    '/usr/local/bin',
    '/sbin',
    '/bin',
  ];
  for (const folder of folders) {
    const path = join(folder, program);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not in this folder.
    }
  }
  return undefined;
}

function run(program, args, options = {}) {
  const result = spawnSync(program, args, { cwd: root, encoding: 'utf8', ...options });
  return { ok: result.status === 0, output: `${result.stdout ?? ''}${result.stderr ?? ''}` };
}

/** Installs Debian packages where we may; answers whether it worked. */
function aptInstall(packages) {
  if (!isRoot || !find('apt-get')) return false;
  console.log(`Installing ${packages.join(', ')} with apt-get`);
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  run('apt-get', ['update'], { env: environment });
  const args = ['install', '-y', '--no-install-recommends', ...packages];
  const { ok, output } = run('apt-get', args, { env: environment });
  if (!ok) console.error(output.trim().split('\n').slice(-5).join('\n'));
  return ok;
}

function checkNode() {
  if (Number(process.versions.node.split('.')[0]) >= 20) return;
  fail(
    `Node.js ${process.versions.node} is too old.`,
    'everything; version 20 or newer',
    'install Node.js 20 or newer (https://nodejs.org)',
  );
}

function checkPython() {
  if (find('python3') || aptInstall(['python3'])) return;
  fail('python3 was not found.', 'Python Lambda functions', 'sudo apt-get install -y python3');
}

function installDependencies() {
  const stamp = join(root, 'node_modules', '.setup-stamp');
  const lock = readFileSync(join(root, 'package-lock.json'));
  const wanted = `${createHash('sha256').update(lock).digest('hex')} node ${process.versions.modules}`;
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  console.log('Installing dependencies (npm install, versions of package-lock.json)');
  // Not `npm ci`: it stops where a lock file lacks packages of other platforms, which registries may not hold.
  const npm = () => run('npm', ['install', '--no-save', '--no-audit', '--no-fund']);
  let result = npm();
  // better-sqlite3 comes with a prebuilt binary for most machines; elsewhere it is compiled.
  if (!result.ok && !(find('g++') && find('make')) && aptInstall(['g++', 'make', 'python3'])) result = npm();
  if (!result.ok) {
    console.error(result.output.trim().split('\n').slice(-25).join('\n'));
    fail(
      'npm install failed.',
      'all dependencies',
      'see the lines above; a compiler may help: sudo apt-get install -y g++ make',
    );
  }
  writeFileSync(stamp, wanted);
}

function build() {
  const { ok, output } = run(process.execPath, [
    join(root, 'node_modules/typescript/bin/tsc'),
    '-p',
    'tsconfig.json',
  ]);
  if (ok) return;
  console.error(output.trim());
  fail('The build failed.', 'everything', 'see the lines above');
}

/** Containers for functions. `npm test` goes on without (and says what it skips); the core needs it. */
function checkContainerEngine() {
  if (find('crun') || find('runc')) return;
  if (aptInstall(['crun'])) return;
  fail(
    'No OCI runtime (crun or runc) was found.',
    'running Lambda functions in containers (GreengrassContainer)',
    'sudo apt-get install -y crun',
  );
}

/** What is written in C and Java, where there are compilers; says what it leaves out. */
function buildNative() {
  const { ok, output } = run(process.execPath, ['greengrass/dev/native.mjs']);
  process.stdout.write(output);
  if (!ok)
    fail(
      'The C library or the Java runtime could not be built.',
      'functions in C and Java',
      'see the lines above',
    );
}

checkNode();
checkPython();
installDependencies();
build();
buildNative();
checkContainerEngine();
