// `npm run package`: builds greengrass-linux-<arch>-<version>.tar.gz, which unpacks at / into V1's tree. Everything is
// inside, Node.js too: a core device runs no npm. Run it on the architecture that the devices have.
//
//   npm run package -- [FOLDER] [--sign KEY] [--version VERSION]
//
// --sign writes the signature for updates over the air beside it, as .sig. For tests: --dist FOLDER takes the compiled
// program from there, and --linked links what is large (Node.js, packages) to where it lies here.
import { spawnSync } from 'node:child_process';
import { createHash, createPrivateKey, sign } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('../..', import.meta.url));
const description = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const ARCHITECTURES = { x64: 'x86_64', arm64: 'aarch64', arm: 'armv7l' };
const architecture = ARCHITECTURES[process.arch] ?? process.arch;
const { values: given, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    sign: { type: 'string' },
    version: { type: 'string', default: description.version },
    dist: { type: 'string', default: join(root, 'dist') },
    linked: { type: 'boolean', default: false },
  },
});
const { version } = given;
const target = resolve(
  positionals[0] ?? join(root, 'dist'),
  `greengrass-linux-${architecture}-${version}.tar.gz`,
);

/** Only the command line and the cloud use these; a core device has no use for them. */
const NOT_ON_A_CORE = Object.keys(description.dependencies).filter(
  (name) => name.startsWith('@aws-sdk/') || ['aedes', 'express', 'pg', 'yaml', 'yazl'].includes(name),
);

function must(program, args, options = {}) {
  const { status, stderr, error } = spawnSync(program, args, { encoding: 'utf8', ...options });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} failed:\n${error?.message ?? stderr}`);
}

/** What `npm install` would give a core: the packages, less what only building them needs. */
function installPackages(home) {
  const dependencies = Object.fromEntries(
    Object.entries(description.dependencies).filter(([name]) => !NOT_ON_A_CORE.includes(name)),
  );
  // The lock file is given along: what stays keeps its pinned version.
  cpSync(join(root, 'package-lock.json'), join(home, 'package-lock.json'));
  writePackageJson(home, {
    dependencies,
    ...(description.allowScripts ? { allowScripts: description.allowScripts } : {}),
  });
  must('npm', ['install', '--no-save', '--omit=dev', '--no-audit', '--no-fund'], { cwd: home });
  for (const part of [
    'deps',
    'src',
    'build/Release/obj',
    'build/Release/obj.target',
    'build/Release/test_extension.node',
  ])
    rmSync(join(home, 'node_modules/better-sqlite3', part), { recursive: true, force: true });
  rmSync(join(home, 'package-lock.json'));
}

function writePackageJson(home, more) {
  const { name, license, type, engines } = description;
  writeFileSync(
    join(home, 'package.json'),
    `${JSON.stringify({ name, version, license, private: true, type, engines, ...more }, undefined, 2)}\n`,
  );
}

/** Files that programs need beside the compiled ones: profiles, runtimes of functions, native libraries. */
function copyBeside(home) {
  for (const part of ['core', 'lib', 'runtimes']) {
    cpSync(join(root, 'greengrass', part), join(home, 'greengrass', part), {
      recursive: true,
      filter: (path) => !/\.(ts|c|h|built)$/.test(path) && !/\/runtimes\/[^/]+\/src$/.test(path),
    });
  }
}

function writeProgram(file, text) {
  writeFileSync(file, text);
  chmodSync(file, 0o755);
}

const staging = mkdtempSync(join(tmpdir(), 'greengrass-package-'));
try {
  const tree = join(staging, 'greengrass');
  const home = join(tree, 'ggc/packages', version);
  for (const folder of ['certs', 'config', 'ota', 'ggc/packages', `ggc/packages/${version}/bin`])
    mkdirSync(join(tree, folder), { recursive: true });
  if (given.linked) {
    writePackageJson(home, {});
    symlinkSync(join(root, 'node_modules'), join(home, 'node_modules'));
    symlinkSync(process.execPath, join(home, 'bin/node'));
  } else {
    installPackages(home);
    cpSync(process.execPath, join(home, 'bin/node'));
  }
  // Of gg, a core has what asks the core itself (trace, spooler, shadow): the rest needs packages that are left out.
  for (const part of ['core', 'lib', 'model', 'cli']) {
    cpSync(join(given.dist, 'greengrass', part), join(home, 'dist/greengrass', part), {
      recursive: true,
      filter: (path) => !path.endsWith('.map'),
    });
  }
  copyBeside(home);
  writeProgram(
    join(home, 'greengrassd'),
    '#!/bin/sh\nhome=$(dirname "$(readlink -f "$0")")\nexec "$home/bin/node" "$home/dist/greengrass/core/bin/greengrassd.js" "$@"\n',
  );
  writeProgram(
    join(home, 'gg'),
    '#!/bin/sh\nhome=$(dirname "$(readlink -f "$0")")\nexec "$home/bin/node" "$home/dist/greengrass/cli/gg.js" "$@"\n',
  );
  writeProgram(join(home, 'ggc-ota'), readFileSync(join(root, 'greengrass/dev/ggc-ota.sh'), 'utf8'));
  // With what lies in the package only: a module that is missing is found here, and not on the devices.
  const programs = [
    'core/daemon.js',
    'core/ota/ota-agent.js',
    'core/service-client.js',
    'core/logs/log-files.js',
    'cli/own-verbs.js',
    'cli/trace.js',
    'cli/spooler.js',
    'cli/shadow.js',
  ];
  const loads = programs.map(
    (path) => `await import(${JSON.stringify(join(home, 'dist/greengrass', path))});`,
  );
  must(join(home, 'bin/node'), ['--input-type=module', '-e', loads.join('\n')]);
  symlinkSync(`packages/${version}`, join(tree, 'ggc/core'));
  symlinkSync(`../ggc/packages/${version}`, join(tree, 'ota/ota_agent'));
  if (existsSync(join(root, 'LICENSE'))) cpSync(join(root, 'LICENSE'), join(home, 'LICENSE'));
  mkdirSync(resolve(target, '..'), { recursive: true });
  must('tar', ['-C', staging, '--owner=0', '--group=0', '-czf', target, 'greengrass']);
  if (given.sign !== undefined) {
    const key = createPrivateKey(readFileSync(given.sign));
    const digest = createHash('sha256').update(readFileSync(target)).digest();
    const signature = sign(key.asymmetricKeyType === 'ed25519' ? null : 'sha256', digest, key);
    writeFileSync(`${target}.sig`, `${signature.toString('base64')}\n`);
  }
  console.log(target);
} finally {
  rmSync(staging, { recursive: true, force: true });
}
