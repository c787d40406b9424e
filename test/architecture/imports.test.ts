/**
 * The import rules of greengrass/README.md, kept by reading every import in the tree. A layer that reaches where it
 * must not is a defect even where it works.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { PACKAGE_ROOT } from '../../greengrass/lib/package-root.js';

const SOURCE = join(PACKAGE_ROOT, 'greengrass');

interface Import {
  readonly from: string;
  readonly to: string;
  readonly typeOnly: boolean;
  /** `import('…')`: loaded when it is needed. */
  readonly isDynamic: boolean;
}

function sources(): string[] {
  return readdirSync(SOURCE, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && !path.includes('node_modules'))
    .sort();
}

const IMPORT =
  /(?:^|\n)\s*(?:import|export)\s+(type\s+)?(?:[^'";]*?\sfrom\s+)?'([^']+)'|import\('([^']+)'\)/g;

function importsOf(path: string): Import[] {
  const text = readFileSync(join(SOURCE, path), 'utf8');
  return [...text.matchAll(IMPORT)].map((match) => {
    const specifier = match[2] ?? match[3] ?? '';
    const to = specifier.startsWith('.')
      ? relative(SOURCE, resolve(SOURCE, dirname(path), specifier)).replace(/\.js$/, '.ts')
      : specifier;
    return { from: path, to, typeOnly: match[1] !== undefined, isDynamic: match[3] !== undefined };
  });
}

const ALL: Import[] = sources().flatMap(importsOf);

/** Packages with one owner: the only file that may import them. */
const OWNERS: Readonly<Record<string, readonly string[]>> = {
  'better-sqlite3': ['lib/sqlite.ts'],
  'node-forge': ['lib/x509.ts'],
  pg: ['lib/postgres.ts'],
  pino: ['lib/log.ts'],
  zod: ['lib/check.ts'],
  'node:child_process': ['lib/subprocess.ts'],
};

/** Folder (longest prefix wins) and what of ours it may import; its own folder is always allowed. */
const PARTS = [
  'lib/',
  'model/',
  'core/component',
  'core/control/control-route',
  'core/errors',
  'core/router/',
  'core/service-client',
];
const CONTRACTS = ['core/isolation/worker-process', 'core/logs/function-logs'];
const RULES: ReadonlyArray<readonly [string, readonly string[]]> = [
  ['lib/', []],
  ['model/', ['lib/check']],
  ['core/router/', ['lib/log', 'model/']],
  ['core/service-client', ['lib/', 'model/', 'core/errors']],
  ['core/broker/', PARTS],
  ['core/control/', ['lib/', 'model/', 'core/component', 'core/router/']],
  ['core/shadow/', PARTS],
  ['core/iot-client/', PARTS],
  ['core/lambda/', [...PARTS, ...CONTRACTS, 'core/ipc/', 'core/isolation/', 'core/resources/']],
  ['core/isolation/', ['lib/', 'model/', 'core/component', 'core/errors']],
  ['core/resources/', ['lib/', 'model/', 'core/component', 'core/errors', ...CONTRACTS]],
  ['core/secrets/', ['lib/', 'model/', 'core/component', 'core/errors', 'core/service-client']],
  ['core/telemetry/', ['lib/', 'model/', 'core/component']],
  ['core/token-exchange/', ['lib/', 'model/', 'core/component', 'core/errors', 'core/service-client']],
  ['core/certificates/', ['lib/', 'model/', 'core/component', 'core/errors', 'core/service-client']],
  ['core/ip-detector/', ['lib/', 'model/', 'core/component', 'core/errors', 'core/service-client']],
  ['core/logs/', ['lib/', 'model/', 'core/component', ...CONTRACTS]],
  ['core/ipc/', ['lib/', 'model/', 'core/component', ...CONTRACTS]],
  ['core/ota/', ['lib/', 'model/']],
  ['core/deployment/', ['lib/', 'model/', 'core/component', 'core/errors', 'core/service-client']],
  ['core/', ['lib/', 'model/', 'core/']],
  ['cloud/store/', ['lib/', 'model/']],
  ['cloud/authority/', ['lib/', 'model/', 'cloud/store/']],
  ['cloud/iot/', ['lib/', 'model/', 'cloud/store/']],
  ['cloud/api/', ['lib/', 'model/', 'cloud/store/', 'cloud/authority/', 'cloud/iot/']],
  ['cloud/discovery/', ['lib/', 'model/', 'cloud/store/', 'cloud/authority/', 'cloud/iot/']],
  ['cloud/deployment/', ['lib/', 'model/', 'cloud/store/', 'cloud/authority/', 'cloud/iot/']],
  ['cloud/aws/', ['lib/', 'model/', 'cloud/store/', 'cloud/iot/']],
  ['cloud/', ['lib/', 'model/', 'cloud/']],
  ['cli/', ['lib/', 'model/']],
  ['dev/', ['lib/', 'model/', 'cli/', 'core/isolation/place']],
];

describe('architecture', () => {
  it('finds the sources and their imports', () => {
    expect(ALL.length).toBeGreaterThan(50);
  });

  it.each(Object.entries(OWNERS))('%s has one owner', (name, owners) => {
    const importers = ALL.filter(({ to }) => to === name || to.startsWith(`${name}/`)).map(
      ({ from }) => from,
    );
    expect(importers.filter((from) => !owners.includes(from))).toEqual([]);
  });

  it('folders import only what the map allows', () => {
    const broken = ALL.filter(({ from, to }) => {
      if (to.startsWith('node:') || /^[@a-z]/.test(to) === false) return false;
      const isOurs = sourcesSet.has(to);
      if (!isOurs) return false;
      const rule = RULES.find(([prefix]) => from.startsWith(prefix));
      if (!rule) return true;
      const [own, allowed] = rule;
      return !to.startsWith(own) && !allowed.some((prefix) => to.startsWith(prefix));
    });
    expect(broken.map(({ from, to }) => `${from} imports ${to}`)).toEqual([]);
  });

  it('the AWS SDK is loaded by the command line and for a hybrid cloud only; the API knows its types', () => {
    const importers = ALL.filter(({ to }) => to.startsWith('@aws-sdk/') || to === 'aws-sdk').filter(
      ({ from, typeOnly }) => !(typeOnly && from.startsWith('cloud/api/')),
    );
    const allowed = ['cli/', 'dev/', 'cloud/aws/'];
    const wrong = importers.filter(({ from }) => !allowed.some((folder) => from.startsWith(folder)));
    expect(wrong).toEqual([]);
  });

  it('a cloud that is not hybrid does not load what loads the AWS SDK', () => {
    const eager = ALL.filter(
      ({ from, to, typeOnly, isDynamic }) =>
        to.startsWith('cloud/aws/') &&
        to !== 'cloud/aws/config.ts' &&
        !from.startsWith('cloud/aws/') &&
        !(typeOnly || isDynamic),
    );
    expect(eager.map(({ from, to }) => `${from} imports ${to}`)).toEqual([]);
  });

  it('core and cloud meet on the wire only', () => {
    const crossing = ALL.filter(
      ({ from, to }) =>
        (from.startsWith('core/') && to.startsWith('cloud/')) ||
        (from.startsWith('cloud/') && to.startsWith('core/')),
    );
    expect(crossing).toEqual([]);
  });
});

const sourcesSet = new Set(sources());

describe('Python files of runtimes and SDK', () => {
  const files = ['greengrass/runtimes/python', 'greengrass/sdk/python', 'lambdas'].flatMap((folder) =>
    readdirSync(join(PACKAGE_ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.py'))
      .map((path) => join(PACKAGE_ROOT, folder, path)),
  );

  it.each(files)('%s is plain ASCII, which Python 2.7 reads without a declaration', (file) => {
    expect([...readFileSync(file)].every((byte) => byte < 128)).toBe(true);
  });
});
