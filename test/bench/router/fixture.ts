/** What all brokers of the comparison share: certificates, devices, a subscription table of 1,000 routes. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { certificateId } from '../../../greengrass/lib/x509.js';
import { certificateArn, thingArn } from '../../../greengrass/model/arn.js';
import type { GroupMember, GroupSubscription } from '../../../greengrass/model/group.js';

const REGION = 'us-east-1';
const ACCOUNT = '123456789012';
/** Publishers and subscribers of the largest scenario. */
export const CLIENTS = 100;
export const ROUTES = 1000;
export const IDLE_CLIENTS = 2500;

export interface Fixture {
  readonly folder: string;
  readonly devices: readonly GroupMember[];
  readonly subscriptions: readonly GroupSubscription[];
  /** Database of sessions; absent: a new one. */
  readonly sessionsPath?: string;
}

export const arnOf = (thingName: string) => thingArn(REGION, ACCOUNT, thingName);

/** A CA, the server's key (RSA, as a core's), one for many clients (P-256), and own ones for those named. */
export function makeKeys(folder: string, names: readonly string[]): void {
  mkdirSync(folder, { recursive: true });
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  openssl(
    'req',
    '-x509',
    ...ec,
    '-keyout',
    'ca.key',
    '-out',
    'ca.pem',
    '-days',
    '2',
    '-subj',
    '/CN=bench CA',
  );
  const issue = (name: string, key: readonly string[]) => {
    const files = ['-keyout', `${name}.key`, '-out', `${name}.pem`];
    const ca = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-days', '2'];
    const host = name === 'server' ? ['-addext', 'subjectAltName=IP:127.0.0.1'] : [];
    openssl('req', '-x509', ...ca, ...key, ...files, '-subj', `/CN=${name}`, ...host);
  };
  issue('server', ['-newkey', 'rsa:2048', '-nodes']);
  for (const name of ['client', ...names]) issue(name, ec);
}

/** The group's device of this name, with the certificate in that file. */
export function memberOf(folder: string, thingName: string, certificate: string): GroupMember {
  const id = certificateId(readFileSync(join(folder, `${certificate}.pem`), 'utf8'));
  return { thingArn: arnOf(thingName), certArn: certificateArn(REGION, ACCOUNT, id) };
}

export function makeFixture(folder: string): Fixture {
  const talking = ['pub', 'sub'].flatMap((role) => Array.from({ length: CLIENTS }, (_, n) => `${role}-${n}`));
  makeKeys(folder, talking);
  const devices: GroupMember[] = [];
  const add = (thingName: string, certificate: string) =>
    devices.push(memberOf(folder, thingName, certificate));
  for (const name of talking) add(name, name);
  for (let n = 0; n < IDLE_CLIENTS; n++) add(`idle-${n}`, 'client');
  return { folder, devices, subscriptions: routes() };
}

function routes(): GroupSubscription[] {
  const list: GroupSubscription[] = [];
  const add = (from: string, Subject: string, to: string) =>
    list.push({ Source: arnOf(from), Subject, Target: arnOf(to) });
  for (let n = 0; n < CLIENTS; n++) {
    add(`pub-${n}`, `bench/pair/${n}/data`, `sub-${n}`);
    add(`pub-${n}`, 'bench/in/+/data', 'sub-0');
    add('pub-0', 'bench/out/data', `sub-${n}`);
  }
  for (let n = 0; list.length < ROUTES; n++) {
    add(`pub-${n % CLIENTS}`, n % 4 ? `other/${n}/state` : `other/${n}/#`, `idle-${n}`);
  }
  return list;
}

/** The same rights as the table gives, in Mosquitto's words. */
export function mosquittoAcl({ subscriptions }: Fixture): string {
  const rights = new Map<string, Set<string>>();
  const grant = (arn: string, line: string) => {
    const name = arn.split('/').at(-1) as string;
    rights.set(name, (rights.get(name) ?? new Set()).add(line));
  };
  for (const { Source, Subject, Target } of subscriptions) {
    grant(Source, `topic write ${Subject}`);
    grant(Target, `topic read ${Subject}`);
  }
  return [...rights].map(([name, lines]) => [`user ${name}`, ...lines, ''].join('\n')).join('\n');
}

export function writeConfig(fixture: Fixture): string {
  const path = join(fixture.folder, 'broker.json');
  writeFileSync(path, JSON.stringify(fixture));
  return path;
}
