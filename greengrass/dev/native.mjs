// Builds what the core brings along in C and Java: the library of executables, the runtime of Java functions, the sockets
// of the local MQTT server. Each only where its compiler is; who has none does without and is told so. Does nothing that is
// done already. `CC=aarch64-linux-gnu-gcc node greengrass/dev/native.mjs` builds the library of executables for another
// machine, to link functions against: greengrass/runtimes/executable/<machine>/.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const runtimes = join(root, 'greengrass/runtimes');
const sdk = join(root, 'greengrass/sdk');

function has(program, flag) {
  return spawnSync(program, [flag], { stdio: 'ignore' }).status === 0;
}

function must(program, args, options = {}) {
  const { status, stderr, error } = spawnSync(program, args, { encoding: 'utf8', ...options });
  if (status !== 0) throw new Error(`${program} failed: ${error?.message ?? stderr}`);
}

function filesIn(folder, ending) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .sort()
    .map((name) => join(folder, name));
}

/** Runs `build` where the sources are not those of the last time. The stamp lies beside the result. */
function onceFor(target, sources, build) {
  const hash = createHash('sha256').update(process.arch);
  for (const file of sources) hash.update(file).update(readFileSync(file));
  const wanted = hash.digest('hex');
  const stamp = `${target}.built`;
  if (existsSync(target) && existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  build();
  writeFileSync(stamp, wanted);
}

const COMPILER = process.env.CC || 'cc';
/** What compilers call the machine that this runs on. */
const MACHINE = { x64: 'x86_64', arm64: 'aarch64', arm: 'arm' }[process.arch] ?? process.arch;

/** Where a compiler's library goes: beside the sources for this machine, in a folder of its own for another. */
function placeOf(compiler, folder) {
  const { stdout } = spawnSync(compiler, ['-dumpmachine'], { encoding: 'utf8' });
  const [triple] = stdout.trim().split('-');
  const machine = triple.startsWith('armv') ? 'arm' : triple;
  return machine === MACHINE ? folder : join(folder, machine);
}

function buildC(compiler) {
  const name = 'libaws-greengrass-core-sdk-c.so';
  const folder = join(runtimes, 'executable');
  const map = join(folder, 'src/symbols.map');
  const sources = filesIn(join(folder, 'src'), '.c');
  const headers = [...filesIn(join(folder, 'src'), '.h'), ...filesIn(join(sdk, 'c'), '.h'), map];
  if (!has(compiler, '--version'))
    return `executables that use the C SDK (no C compiler ${compiler}: apt-get install gcc libc6-dev)`;
  const place = placeOf(compiler, folder);
  const target = join(place, name);
  mkdirSync(place, { recursive: true });
  onceFor(target, [...sources, ...headers], () => {
    console.log(`Building ${name}`);
    const flags = ['-std=c11', '-O2', '-fPIC', '-shared', '-pthread', `-I${join(sdk, 'c/include')}`];
    const linked = [`-Wl,-soname,${name}`, `-Wl,--version-script=${map}`];
    must(compiler, [...flags, ...linked, '-o', target, ...sources]);
  });
  return undefined;
}

function buildJar(target, sources, classPath) {
  onceFor(target, sources, () => {
    console.log(`Building ${target.slice(root.length)}`);
    const classes = mkdtempSync(join(root, '.classes-'));
    try {
      // Java 8 is the oldest that functions are written for. Its own class library is no longer with every compiler.
      const flags = ['--release', '8', '-Xlint:-options', '-encoding', 'UTF-8', '-d', classes];
      must('javac', [...flags, ...(classPath ? ['-cp', classPath] : []), ...sources]);
      mkdirSync(join(target, '..'), { recursive: true });
      must('jar', ['--create', '--file', target, '-C', classes, '.']);
    } finally {
      rmSync(classes, { recursive: true, force: true });
    }
  });
}

function buildJava() {
  const sources = filesIn(join(runtimes, 'java/src'), '.java');
  if (sources.length === 0) return undefined;
  if (!has('javac', '-version') || !has('jar', '--version'))
    return 'Java functions (no Java compiler: apt-get install default-jdk-headless)';
  const runtime = join(runtimes, 'java/greengrass-java-runtime.jar');
  buildJar(runtime, sources);
  buildJar(join(sdk, 'java/GreengrassJavaSDK.jar'), filesIn(join(sdk, 'java/src'), '.java'), runtime);
  return undefined;
}

/** Byte code of the Python runtime for the interpreters that are here: workers can't write any where it lies. */
function compilePython() {
  const folder = join(runtimes, 'python');
  const interpreters = ['/usr/bin', '/usr/local/bin'].flatMap((place) =>
    readdirSync(place)
      .filter((name) => /^python3\.\d+$/.test(name))
      .map((name) => join(place, name)),
  );
  // By the hash of the source, not by its time: it is right wherever it was copied to.
  for (const interpreter of interpreters)
    spawnSync(interpreter, ['-m', 'compileall', '-q', '--invalidation-mode', 'checked-hash', folder], {
      stdio: 'ignore',
    });
}

compilePython();
/** The sockets of the local MQTT server: against the headers of the Node.js that runs this. */
function buildLane() {
  const folder = join(root, 'greengrass/core/broker/tls-lane');
  const target = join(folder, 'tls-lane.node');
  const source = join(folder, 'lane.c');
  const headers = [
    join(process.execPath, '../../include/node'),
    '/usr/include/node',
    '/usr/include/nodejs/src',
  ]
    .concat(process.env.npm_config_nodedir ? join(process.env.npm_config_nodedir, 'include/node') : [])
    .find((place) => existsSync(join(place, 'node_api.h')) && existsSync(join(place, 'openssl/ssl.h')));
  const what = "the fast sockets of the local MQTT server (Node.js' own serve instead)";
  if (!has('cc', '--version')) return `${what}: no C compiler: apt-get install gcc libc6-dev`;
  if (!headers) return `${what}: no headers of Node.js beside ${process.execPath}`;
  onceFor(target, [source, join(headers, 'node_version.h')], () => {
    console.log('Building tls-lane.node');
    const flags = ['-std=c11', '-O2', '-Wall', '-fPIC', '-shared', '-fvisibility=hidden', `-I${headers}`];
    must('cc', [...flags, '-o', target, source]);
  });
  return undefined;
}

const missing = [buildC(COMPILER), buildJava(), buildLane()].filter((what) => what !== undefined);
for (const what of missing) console.log(`Not built here: ${what}`);
