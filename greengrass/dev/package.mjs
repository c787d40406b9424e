// `npm run package`: builds greengrass-linux-<arch>-<version>.tar.gz, which unpacks at / into V1's tree. Everything is
// inside, Node.js too: a core device runs no npm. Run it on the architecture that the devices have.
import { spawnSync } from 'node:child_process';
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

const root = fileURLToPath(new URL('../..', import.meta.url));
const { version, dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const ARCHITECTURES = { x64: 'x86_64', arm64: 'aarch64', arm: 'armv7l' };
const architecture = ARCHITECTURES[process.arch] ?? process.arch;
const target = resolve(
  process.argv[2] ?? join(root, 'dist'),
  `greengrass-linux-${architecture}-${version}.tar.gz`,
);

/** Only the command line uses these; a core device has no use for them. */
const NOT_ON_A_CORE = Object.keys(dependencies).filter(
  (name) => name.startsWith('@aws-sdk/') || name === 'yazl',
);

function must(program, args, options = {}) {
  const { status, stderr } = spawnSync(program, args, { encoding: 'utf8', ...options });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} failed:\n${stderr}`);
}

const staging = mkdtempSync(join(tmpdir(), 'greengrass-package-'));
try {
  const tree = join(staging, 'greengrass');
  const home = join(tree, 'ggc/packages', version);
  for (const folder of ['certs', 'config', 'ggc/packages', 'ota'])
    mkdirSync(join(tree, folder), { recursive: true });
  mkdirSync(join(home, 'bin'), { recursive: true });
  for (const file of ['package.json', 'package-lock.json']) cpSync(join(root, file), join(home, file));
  must('npm', ['install', '--no-save', '--omit=dev', '--no-audit', '--no-fund'], { cwd: home });
  must('npm', ['uninstall', '--no-save', '--omit=dev', ...NOT_ON_A_CORE], { cwd: home });
  for (const part of [
    'deps',
    'src',
    'build/Release/obj',
    'build/Release/obj.target',
    'build/Release/test_extension.node',
  ]) {
    rmSync(join(home, 'node_modules/better-sqlite3', part), { recursive: true, force: true });
  }
  for (const part of ['core', 'lib', 'model']) {
    cpSync(join(root, 'dist/greengrass', part), join(home, 'dist/greengrass', part), { recursive: true });
  }
  cpSync(join(root, 'greengrass/core/isolation'), join(home, 'greengrass/core/isolation'), {
    recursive: true,
    filter: (path) => !path.endsWith('.ts'),
  });
  cpSync(join(root, 'greengrass/runtimes'), join(home, 'greengrass/runtimes'), {
    recursive: true,
    filter: (path) => !/\/src$|\.built$/.test(path),
  });
  cpSync(process.execPath, join(home, 'bin/node'));
  const launcher = join(home, 'greengrassd');
  writeFileSync(
    launcher,
    '#!/bin/sh\nhome=$(dirname "$(readlink -f "$0")")\nexec "$home/bin/node" "$home/dist/greengrass/core/bin/greengrassd.js" "$@"\n',
  );
  chmodSync(launcher, 0o755);
  symlinkSync(`packages/${version}`, join(tree, 'ggc/core'));
  if (existsSync(join(root, 'LICENSE'))) cpSync(join(root, 'LICENSE'), join(home, 'LICENSE'));
  mkdirSync(resolve(target, '..'), { recursive: true });
  must('tar', ['-C', staging, '--owner=0', '--group=0', '-czf', target, 'greengrass']);
  console.log(target);
} finally {
  rmSync(staging, { recursive: true, force: true });
}
