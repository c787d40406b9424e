/** What every implementation of `Store` must do; store.test.ts runs it against those that there are. */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import type { OpenedStore } from '../../greengrass/cloud/store/open-store.js';
import type {
  ArtifactStore,
  Container,
  Deployment,
  LambdaVersion,
  Store,
} from '../../greengrass/cloud/store/store.js';
import { ConflictError } from '../../greengrass/cloud/store/store.js';

const AT = '2026-01-02T03:04:05.678Z';
const LATER = '2026-01-02T03:05:05.678Z';

function thing(thingName: string) {
  return {
    thingName,
    thingId: randomUUID(),
    thingArn: `arn:aws:iot:us-east-1:123456789012:thing/${thingName}`,
    attributes: { colour: 'red' },
    version: 1,
    createdAt: AT,
  };
}

function container(kind: Container['kind'], id: string): Container {
  return { kind, id, name: `name of ${id}`, createdAt: AT, updatedAt: AT, tags: { a: 'b' } };
}

function deployment(groupId: string, fields: Partial<Deployment> = {}): Deployment {
  return {
    deploymentId: randomUUID(),
    groupId,
    groupVersionId: 'v1',
    type: 'NewDeployment',
    status: 'Building',
    createdAt: AT,
    updatedAt: AT,
    ...fields,
  };
}

function lambda(functionName: string): LambdaVersion {
  return {
    functionName,
    version: '$LATEST',
    runtime: 'python3.8',
    handler: 'a.b',
    role: 'arn:aws:iam::123456789012:role/x',
    description: 'first',
    timeoutS: 3,
    memoryMb: 128,
    environment: { A: '1' },
    codeSha256Hex: 'a'.repeat(64),
    codeSizeBytes: 10,
    revisionId: randomUUID(),
    lastModified: AT,
  };
}

/** `open` gives an empty store; `reopen` one on the same data after the first was closed. */
export function describeStore(
  name: string,
  open: () => Promise<OpenedStore>,
  reopen: () => Promise<OpenedStore>,
  cleanUp: () => Promise<void>,
): void {
  describe(`a store in ${name}`, () => {
    let store: Store;
    let artifacts: ArtifactStore;
    beforeEach(async () => {
      ({ store, artifacts } = await open());
    });
    afterEach(async () => {
      await store.close();
      await cleanUp();
    });

    it('keeps things, lists them by name in pages and refuses a second one of the same name', async () => {
      for (const thingName of ['c', 'a', 'b']) await store.things.create(thing(thingName));
      await expect(store.things.create(thing('a'))).rejects.toThrow(ConflictError);
      expect((await store.things.list(2)).map((t) => t.thingName)).toEqual(['a', 'b']);
      expect((await store.things.list(2, 'b')).map((t) => t.thingName)).toEqual(['c']);
      const found = await store.things.find('a');
      expect(found).toMatchObject({ attributes: { colour: 'red' }, version: 1 });
      expect(found && 'thingTypeName' in found).toBe(false);
      await store.things.update({ ...thing('a'), attributes: {}, thingTypeName: 'T', version: 2 });
      expect(await store.things.find('a')).toMatchObject({ attributes: {}, thingTypeName: 'T', version: 2 });
    });

    it('attaches principals to things, once, and takes attachments along with either end', async () => {
      await store.things.create(thing('a'));
      await store.things.create(thing('b'));
      for (const name of ['a', 'a', 'b']) await store.things.attachPrincipal(name, 'cert');
      expect(await store.things.principalsOf('a')).toEqual(['cert']);
      expect(await store.things.thingsOf('cert')).toEqual(['a', 'b']);
      await store.things.detachPrincipal('a', 'cert');
      expect(await store.things.thingsOf('cert')).toEqual(['b']);
      await store.things.delete('b');
      expect(await store.things.thingsOf('cert')).toEqual([]);
    });

    it('keeps certificates and their status', async () => {
      const certificate = {
        certificateId: 'f'.repeat(64),
        certificateArn: 'arn',
        pem: 'pem',
        status: 'INACTIVE' as const,
        createdAt: AT,
      };
      await store.certificates.create(certificate);
      await expect(store.certificates.create(certificate)).rejects.toThrow(ConflictError);
      await store.certificates.setStatus(certificate.certificateId, 'ACTIVE');
      expect(await store.certificates.find(certificate.certificateId)).toEqual({
        ...certificate,
        status: 'ACTIVE',
      });
      expect(await store.certificates.list(10)).toHaveLength(1);
      await store.certificates.delete(certificate.certificateId);
      expect(await store.certificates.find(certificate.certificateId)).toBeUndefined();
    });

    it('attaches policies to certificates', async () => {
      const policy = { policyName: 'p', policyArn: 'arn', document: '{}', versionId: '1', createdAt: AT };
      await store.policies.create(policy);
      await expect(store.policies.create(policy)).rejects.toThrow(ConflictError);
      await store.policies.attach('p', 'cert');
      await store.policies.attach('p', 'cert');
      expect(await store.policies.policiesOf('cert')).toEqual([policy]);
      expect(await store.policies.targetsOf('p')).toEqual(['cert']);
      await store.policies.detach('p', 'cert');
      expect(await store.policies.policiesOf('cert')).toEqual([]);
      await store.policies.delete('p');
      expect(await store.policies.find('p')).toBeUndefined();
    });

    it('keeps containers with their versions, the newest first', async () => {
      const first = {
        kind: 'cores' as const,
        id: 'x',
        version: 'v1',
        createdAt: AT,
        content: '{"Cores":[]}',
      };
      await store.containers.create(container('cores', 'x'), first);
      await expect(store.containers.create(container('cores', 'x'))).rejects.toThrow(ConflictError);
      await store.containers.create(container('groups', 'x'));
      await store.containers.addVersion({ ...first, version: 'v2' });
      await store.containers.addVersion({ ...first, version: 'v3' });
      expect(await store.containers.find('cores', 'x')).toMatchObject({ latestVersion: 'v3', updatedAt: AT });
      const page = await store.containers.listVersions('cores', 'x', 2);
      expect(page.map((v) => v.version)).toEqual(['v3', 'v2']);
      const rest = await store.containers.listVersions('cores', 'x', 2, 'v2');
      expect(rest.map((v) => v.version)).toEqual(['v1']);
      expect(await store.containers.findVersion('cores', 'x', 'v1')).toEqual(first);
      expect(await store.containers.findVersion('groups', 'x', 'v1')).toBeUndefined();
      const group = await store.containers.find('groups', 'x');
      expect(group && 'latestVersion' in group).toBe(false);
    });

    it('renames, tags and deletes containers, and adds no version to one that is gone', async () => {
      const version = { kind: 'devices' as const, id: 'x', version: 'v1', createdAt: AT, content: '{}' };
      await store.containers.create(container('devices', 'x'), version);
      await store.containers.rename('devices', 'x', 'new', LATER);
      await store.containers.setTags('devices', 'x', { k: '' });
      expect(await store.containers.find('devices', 'x')).toMatchObject({
        name: 'new',
        updatedAt: LATER,
        tags: { k: '' },
      });
      await store.containers.delete('devices', 'x');
      expect(await store.containers.findVersion('devices', 'x', 'v1')).toBeUndefined();
      await expect(store.containers.addVersion(version)).rejects.toThrow(ConflictError);
      expect(await store.containers.list('devices', 10)).toEqual([]);
    });

    it('a creation that fails half-way leaves nothing behind', async () => {
      const version = { kind: 'groups' as const, id: 'other', version: 'v1', createdAt: AT, content: '{}' };
      await expect(store.containers.create(container('groups', 'x'), version)).rejects.toThrow(ConflictError);
      expect(await store.containers.find('groups', 'x')).toBeUndefined();
    });

    it('moves a deployment only where its state allows it', async () => {
      const one = deployment('g');
      await store.deployments.create(one);
      await expect(store.deployments.create(one)).rejects.toThrow(ConflictError);
      expect(await store.deployments.findOpen('g')).toEqual(one);
      expect(await store.deployments.setStatus(one.deploymentId, 'InProgress', LATER)).toBe(true);
      const details = [{ DetailedErrorCode: 'C', DetailedErrorMessage: 'M' }];
      const error = { message: 'no', details };
      expect(await store.deployments.setStatus(one.deploymentId, 'Failure', LATER, error)).toBe(true);
      expect(await store.deployments.setStatus(one.deploymentId, 'Success', LATER)).toBe(false);
      expect(await store.deployments.setStatus(randomUUID(), 'Success', LATER)).toBe(false);
      expect(await store.deployments.find('g', one.deploymentId)).toMatchObject({
        status: 'Failure',
        updatedAt: LATER,
        errorMessage: 'no',
        errorDetails: details,
      });
      expect(await store.deployments.find('h', one.deploymentId)).toBeUndefined();
      expect(await store.deployments.findOpen('g')).toBeUndefined();
    });

    it('knows what a group runs: its last success, until a reset', async () => {
      const thingArn = 'arn:aws:iot:us-east-1:123456789012:thing/d';
      const document = JSON.stringify({ Devices: [{ thingArn, certArn: 'c' }] });
      const [first, second, third] = [deployment('g'), deployment('g'), deployment('g')];
      const status = (d: Deployment, to: Deployment['status']) =>
        store.deployments.setStatus(d.deploymentId, to, LATER);
      await store.deployments.create(first);
      await store.deployments.setDocument(first.deploymentId, document, 'core');
      expect(await store.deployments.findDeployed('g')).toBeUndefined();
      await status(first, 'Success');
      expect(await store.deployments.findDeployed('g')).toMatchObject({ document, coreThingName: 'core' });
      expect(await store.deployments.findDeployedWithDevice(thingArn)).toHaveLength(1);
      await store.deployments.create(second);
      await status(second, 'Failure');
      expect(await store.deployments.findDeployed('g')).toMatchObject({ deploymentId: first.deploymentId });
      await store.deployments.create(third);
      await store.deployments.setDocument(third.deploymentId, '{"Devices":[]}', 'core');
      await status(third, 'Success');
      expect(await store.deployments.findDeployed('g')).toMatchObject({ deploymentId: third.deploymentId });
      expect(await store.deployments.findDeployedWithDevice(thingArn)).toEqual([]);
      await store.deployments.create(deployment('g', { type: 'ResetDeployment' }));
      expect(await store.deployments.findDeployed('g')).toBeUndefined();
      const list = await store.deployments.list('g', 2);
      expect(list.map((d) => d.type)).toEqual(['ResetDeployment', 'NewDeployment']);
      expect(await store.deployments.list('g', 10, third.deploymentId)).toHaveLength(2);
    });

    it('keeps group authorities, the active one first, and the lifetime of server certificates', async () => {
      const authority = { groupId: 'g', certificatePem: 'c', privateKeyPem: 'k', createdAt: AT };
      await store.authorities.create({ ...authority, authorityId: 'z' });
      await store.authorities.create({ ...authority, authorityId: 'a' });
      expect((await store.authorities.list('g')).map((a) => a.authorityId)).toEqual(['a', 'z']);
      expect(await store.authorities.serverCertificateExpiryMs('g')).toBe(604_800_000);
      await store.authorities.setServerCertificateExpiryMs('g', 2_592_000_000);
      expect(await store.authorities.serverCertificateExpiryMs('g')).toBe(2_592_000_000);
      await store.authorities.delete('g');
      expect(await store.authorities.list('g')).toEqual([]);
    });

    it('publishes a function only where something changed since', async () => {
      await store.lambdas.create(lambda('f'));
      await expect(store.lambdas.create(lambda('f'))).rejects.toThrow(ConflictError);
      const one = await store.lambdas.publish('f', 'the first');
      expect(one).toMatchObject({ version: '1', description: 'the first' });
      expect(await store.lambdas.publish('f')).toEqual(one);
      await store.lambdas.updateLatest({ ...lambda('f'), codeSha256Hex: 'b'.repeat(64) });
      expect(await store.lambdas.publish('f')).toMatchObject({ version: '2', codeSha256Hex: 'b'.repeat(64) });
      expect((await store.lambdas.listVersions('f')).map((v) => v.version)).toEqual(['$LATEST', '1', '2']);
      await store.lambdas.delete('f', '2');
      expect(await store.lambdas.publish('f')).toMatchObject({ version: '3' });
      expect((await store.lambdas.listFunctions(10)).map((v) => v.version)).toEqual(['$LATEST']);
    });

    it('keeps aliases of a function', async () => {
      await store.lambdas.create(lambda('f'));
      const alias = {
        functionName: 'f',
        name: 'prod',
        functionVersion: '1',
        description: '',
        revisionId: 'r',
      };
      await store.lambdas.createAlias(alias);
      await expect(store.lambdas.createAlias(alias)).rejects.toThrow(ConflictError);
      await store.lambdas.updateAlias({ ...alias, functionVersion: '2' });
      expect(await store.lambdas.findAlias('f', 'prod')).toEqual({ ...alias, functionVersion: '2' });
      await store.lambdas.delete('f');
      expect(await store.lambdas.listAliases('f')).toEqual([]);
      await expect(store.lambdas.publish('f')).rejects.toThrow('does not exist');
    });

    it('keeps the version of a deleted shadow', async () => {
      const document = { state: { desired: { a: 1 } }, metadata: {}, version: 1 };
      expect(await store.shadows.replace('t', undefined, { document, version: 1 })).toBe(true);
      expect(await store.shadows.find('t')).toEqual({ document, version: 1 });
      expect(await store.shadows.replace('t', { document, version: 1 }, { version: 1 })).toBe(true);
      expect(await store.shadows.find('t')).toEqual({ version: 1 });
      expect(await store.shadows.find('u')).toBeUndefined();
    });

    it('replaces a shadow only where nobody changed it meanwhile', async () => {
      const document = { state: { desired: { a: 1 } }, metadata: {}, version: 1 };
      const first = { document, version: 1 };
      await store.shadows.replace('t', undefined, first);
      expect(await store.shadows.replace('t', undefined, { version: 9 })).toBe(false);
      expect(await store.shadows.replace('t', { document, version: 2 }, { version: 9 })).toBe(false);
      // A deletion keeps the version: what was read before it is out of date all the same, and the other way round.
      expect(await store.shadows.replace('t', { version: 1 }, { version: 9 })).toBe(false);
      expect(await store.shadows.find('t')).toEqual(first);
      const tries = await Promise.all(
        [2, 3, 4].map((version) => store.shadows.replace('t', first, { document, version })),
      );
      expect(tries.filter((done) => done)).toHaveLength(1);
    });

    it('keeps roles, connectivity and answers to tokens, and forgets answers after a day', async () => {
      await store.roles.put('account', { roleArn: 'r', associatedAt: 'now' });
      expect(await store.roles.find('account')).toEqual({ roleArn: 'r', associatedAt: 'now' });
      await store.roles.delete('account');
      expect(await store.roles.find('account')).toBeUndefined();
      await store.connectivity.put('core', 'v1', [{ HostAddress: '10.0.0.1', PortNumber: 8883 }]);
      await store.connectivity.put('core', 'v2', []);
      expect(await store.connectivity.find('core')).toEqual({ version: 'v2', endpoints: [] });
      await store.tokens.put('k', 'f', 'answer', AT);
      expect(await store.tokens.find('k')).toEqual({ fingerprint: 'f', response: 'answer' });
      await store.tokens.put('l', 'f', 'answer', '2026-01-04T00:00:00.000Z');
      expect(await store.tokens.find('k')).toBeUndefined();
    });

    it('comes back as it was after it was closed', async () => {
      await store.settings.set('accountId', '123456789012');
      await store.settings.addAccessKey({ accessKeyId: 'AKIA', secretAccessKey: 's', createdAt: AT });
      await store.things.create(thing('a'));
      await store.close();
      ({ store, artifacts } = await reopen());
      expect(await store.settings.get('accountId')).toBe('123456789012');
      expect(await store.settings.accessKeys()).toMatchObject([
        { accessKeyId: 'AKIA', secretAccessKey: 's', createdAt: AT },
      ]);
      expect(await store.things.find('a')).toBeDefined();
    });

    it('serves many callers at once, each transaction whole', async () => {
      await store.containers.create(container('groups', 'g'));
      const versions = Array.from({ length: 40 }, (_, n) => ({
        kind: 'groups' as const,
        id: 'g',
        version: `v${n}`,
        createdAt: AT,
        content: '{}',
      }));
      const added = versions.map((version) => store.containers.addVersion(version));
      const failed = store.containers.create(container('groups', 'g')).catch(() => 'refused');
      const read = versions.map(() => store.containers.find('groups', 'g'));
      await Promise.all([...added, ...read]);
      expect(await failed).toBe('refused');
      expect(await store.containers.listVersions('groups', 'g', 100)).toHaveLength(40);
    });

    it('gives every caller his own number where many add to one group', async () => {
      const authority = { groupId: 'g', certificatePem: 'c', privateKeyPem: 'k', createdAt: AT };
      const ids = Array.from({ length: 20 }, (_, n) => `authority-${n}`);
      const deployments = ids.map(() => deployment('g'));
      await Promise.all([
        ...ids.map((authorityId) => store.authorities.create({ ...authority, authorityId })),
        ...deployments.map((each) => store.deployments.create(each)),
      ]);
      expect(await store.authorities.list('g')).toHaveLength(20);
      expect(await store.deployments.list('g', 100)).toHaveLength(20);
    });

    it('lists names by their bytes, not in the order of a language', async () => {
      for (const thingName of ['b', 'A', 'a', '_', 'B', '\u00e4', 'Z'])
        await store.things.create(thing(thingName));
      const names = (await store.things.list(10)).map((t) => t.thingName);
      expect(names).toEqual(['A', 'B', 'Z', '_', 'a', 'b', '\u00e4']);
      expect((await store.things.list(10, 'Z')).map((t) => t.thingName)).toEqual(['_', 'a', 'b', '\u00e4']);
    });

    it('keeps artifacts once under their digests and gives ranges of them', async () => {
      const digest = await artifacts.put(Buffer.from('hello'));
      expect(digest).toBe(createHash('sha256').update('hello').digest('hex'));
      expect(await artifacts.put(Buffer.from('hello'))).toBe(digest);
      expect(await artifacts.size(digest)).toBe(5);
      expect((await read(artifacts.read(digest))).toString()).toBe('hello');
      expect((await read(artifacts.read(digest, 1, 3))).toString()).toBe('ell');
    });

    it('keeps artifacts of many megabytes, also where several put the same one at once', async () => {
      const content = randomBytes(3 * 1024 * 1024 + 17);
      const digests = await Promise.all([1, 2, 3].map(() => artifacts.put(content)));
      const [digest = ''] = digests;
      expect(new Set(digests).size).toBe(1);
      expect((await read(artifacts.read(digest))).equals(content)).toBe(true);
      const middle = await read(artifacts.read(digest, 1024 * 1024 - 5, 2 * 1024 * 1024 + 5));
      expect(middle.equals(content.subarray(1024 * 1024 - 5, 2 * 1024 * 1024 + 6))).toBe(true);
      const empty = await artifacts.put(Buffer.alloc(0));
      expect(await artifacts.size(empty)).toBe(0);
      expect(await read(artifacts.read(empty))).toHaveLength(0);
    });

    it('knows no artifacts under names that are no digests', async () => {
      expect(await artifacts.size('../../etc/passwd')).toBeUndefined();
      expect(await artifacts.size('0'.repeat(64))).toBeUndefined();
      expect(() => artifacts.read('../../etc/passwd')).toThrow('not a SHA-256');
      await expect(read(artifacts.read('0'.repeat(64)))).rejects.toThrow('0000');
    });
  });
}

async function read(stream: NodeJS.ReadableStream): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(Buffer.from(part));
  return Buffer.concat(parts);
}
