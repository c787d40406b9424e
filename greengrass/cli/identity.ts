/** A thing with key, certificate and policy, made through the AWS IoT API; and the files that a device needs of it. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  AttachPolicyCommand,
  AttachThingPrincipalCommand,
  CreateKeysAndCertificateCommand,
  CreatePolicyCommand,
  CreateThingCommand,
} from '@aws-sdk/client-iot';
import { type Clients, present } from './clients.js';

export interface Identity {
  readonly thingName: string;
  readonly thingArn: string;
  readonly certificateArn: string;
  readonly certificatePem: string;
  readonly privateKeyPem: string;
  readonly publicKeyPem: string;
}

export interface PolicyStatement {
  readonly Effect: 'Allow' | 'Deny';
  readonly Action: readonly string[];
  readonly Resource: readonly string[];
}

/** Region and account as they stand in a thing's ARN. */
export interface Scope {
  readonly iot: string;
  readonly greengrass: string;
}

export function scopeOf(thingArn: string): Scope {
  const [, partition, , region, account] = thingArn.split(':');
  return {
    iot: `arn:${partition}:iot:${region}:${account}`,
    greengrass: `arn:${partition}:greengrass:${region}:${account}`,
  };
}

/** `statements` are made for the scope that the thing turned out to be in. */
export async function createIdentity(
  { iot }: Clients,
  thingName: string,
  statements: (scope: Scope) => PolicyStatement[],
): Promise<Identity> {
  const thing = await iot.send(new CreateThingCommand({ thingName }));
  const thingArn = present(thing.thingArn, 'thingArn');
  const certificate = await iot.send(new CreateKeysAndCertificateCommand({ setAsActive: true }));
  const certificateArn = present(certificate.certificateArn, 'certificateArn');
  const policyName = `${thingName}-policy`;
  const policyDocument = JSON.stringify({ Version: '2012-10-17', Statement: statements(scopeOf(thingArn)) });
  await iot.send(new CreatePolicyCommand({ policyName, policyDocument }));
  await iot.send(new AttachPolicyCommand({ policyName, target: certificateArn }));
  await iot.send(new AttachThingPrincipalCommand({ thingName, principal: certificateArn }));
  return {
    thingName,
    thingArn,
    certificateArn,
    certificatePem: present(certificate.certificatePem, 'certificatePem'),
    privateKeyPem: present(certificate.keyPair?.PrivateKey, 'PrivateKey'),
    publicKeyPem: present(certificate.keyPair?.PublicKey, 'PublicKey'),
  };
}

/** `<name>.cert.pem`, `<name>.private.key`, `<name>.public.key`, `root.ca.pem`. An existing key is never overwritten. */
export function writeIdentity(identity: Identity, folder: string, name: string, caFile: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  writeFileSync(join(folder, `${name}.private.key`), identity.privateKeyPem, { flag: 'wx', mode: 0o600 });
  writeFileSync(join(folder, `${name}.public.key`), identity.publicKeyPem);
  writeFileSync(join(folder, `${name}.cert.pem`), identity.certificatePem);
  writeFileSync(join(folder, 'root.ca.pem'), readFileSync(caFile));
}
