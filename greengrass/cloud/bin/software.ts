/** `greengrass-cloud software`: the signed packages that CreateSoftwareUpdateJob sends to cores. */
import { createHash, createPrivateKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import type { Command } from 'commander';
import { check, z } from '../../lib/check.js';
import { run } from '../../lib/subprocess.js';
import { compareSoftwareVersions, isSoftwareVersion } from '../../model/software-version.js';
import { openStore } from '../store/open-store.js';
import { databaseUrlOf, placeOptions, withPlace, withStore } from './place.js';

const path = z
  .string()
  .min(1)
  .transform((given) => resolve(given));
const common = z.object(placeOptions);
const operatingSystem = z.enum(['linux', 'ubuntu', 'amazon_linux', 'raspbian', 'openwrt']);
const addition = common.extend({ key: path.optional(), os: operatingSystem });
const removal = common.extend({ os: operatingSystem, architecture: z.string().min(1).max(64) });

/** As `npm run package` names them. */
const FILE_NAME = /^greengrass-linux-(x86_64|aarch64|armv7l|armv6l)-(.+)\.tar\.gz$/;

export function softwareCommand(program: Command): void {
  const software = program
    .command('software')
    .description('packages of the core software, for updates over the air');
  software
    .command('key')
    .description(
      'makes the key that packages are signed with: FILE (keep it secret) and FILE.pub (for cores)',
    )
    .requiredOption('--out <file>', 'the private key; must not exist yet')
    .action((given: unknown) =>
      makeKey(check(z.object({ out: path }), given, 'greengrass-cloud software key').out),
    );
  withPlace(software.command('add <package>'))
    .description('puts a package that npm run package has built into the cloud')
    .option('--key <file>', 'signs it with this key (default: the signature in PACKAGE.sig)')
    .option('--os <name>', 'linux (all but OpenWrt), or ubuntu, amazon_linux, raspbian, openwrt', 'linux')
    .action(async (file: string, given: unknown) => {
      await add(resolve(file), check(addition, given, 'greengrass-cloud software add'));
    });
  withPlace(software.command('list'))
    .description('prints the packages, as JSON, the oldest version first')
    .action(async (given: unknown) => {
      const options = check(common, given, 'greengrass-cloud software list');
      const packages = await withStore(options, (store) => store.software.list());
      packages.sort((a, b) => compareSoftwareVersions(a.version, b.version));
      process.stdout.write(`${JSON.stringify(packages, undefined, 2)}\n`);
    });
  withPlace(software.command('remove <version>'))
    .description('new updates no longer bring this version; those under way go on')
    .requiredOption('--architecture <name>', 'as software list shows it')
    .option('--os <name>', 'as software list shows it', 'linux')
    .action(async (version: string, given: unknown) => {
      const { os, architecture, ...place } = check(removal, given, 'greengrass-cloud software remove');
      const key = { version, architecture, operatingSystem: os };
      if (await withStore(place, (store) => store.software.remove(key))) return;
      throw new Error(
        `there is no version ${version} for ${os} on ${architecture}: greengrass-cloud software list shows them`,
      );
    });
}

function makeKey(out: string): void {
  if (existsSync(out))
    throw new Error(`${out} exists already: a new key would make its cores refuse updates`);
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  writeFileSync(out, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600, flag: 'wx' });
  writeFileSync(`${out}.pub`, publicKey.export({ type: 'spki', format: 'pem' }));
  process.stdout.write(`${out}\n${out}.pub\n`);
}

async function add(file: string, { key, os, ...place }: z.output<typeof addition>): Promise<void> {
  const [, architecture = '', version = ''] = FILE_NAME.exec(basename(file)) ?? [];
  if (!isSoftwareVersion(version)) {
    throw new Error(
      `${file}: must be named greengrass-linux-<architecture>-<version>.tar.gz, as npm run package does`,
    );
  }
  const program = `greengrass/ggc/packages/${version}/greengrassd`;
  const { code } = await run('tar', ['-tzf', file, program]);
  if (code !== 0) throw new Error(`${file} does not hold ${program}: it is no package of version ${version}`);
  const content = readFileSync(file);
  const signature = key === undefined ? readSignature(`${file}.sig`) : signed(content, readKey(key));
  const opened = await openStore({ dataFolder: place.data, ...databaseUrlOf(place), isBeside: true });
  try {
    const sha256 = await opened.artifacts.put(content);
    await opened.store.software.put({
      ...{ version, operatingSystem: os, architecture, sha256, size: content.length, signature },
      addedAt: new Date().toISOString(),
    });
  } finally {
    await opened.store.close();
  }
  process.stdout.write(`version ${version} for ${os} on ${architecture}\n`);
}

function signed(content: Uint8Array, key: KeyObject): string {
  const algorithm = key.asymmetricKeyType === 'ed25519' ? null : 'sha256';
  return sign(algorithm, createHash('sha256').update(content).digest(), key).toString('base64');
}

function readKey(file: string): KeyObject {
  try {
    return createPrivateKey(readFileSync(file));
  } catch (error) {
    throw new Error(
      `${file} is no private key in PEM (${(error as Error).message}): greengrass-cloud software key makes one`,
      {
        cause: error,
      },
    );
  }
}

function readSignature(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new Error(`${file} can't be read: build with npm run package -- --sign KEY, or give --key`, {
      cause: error,
    });
  }
}
