import { X509Certificate } from 'node:crypto';
import {
  AttachPolicyCommand,
  AttachPrincipalPolicyCommand,
  AttachThingPrincipalCommand,
  CreateCertificateFromCsrCommand,
  CreateKeysAndCertificateCommand,
  CreatePolicyCommand,
  CreateThingCommand,
  DeleteCertificateCommand,
  DeletePolicyCommand,
  DeleteThingCommand,
  DescribeCertificateCommand,
  DescribeEndpointCommand,
  DescribeThingCommand,
  DetachPolicyCommand,
  DetachPrincipalPolicyCommand,
  DetachThingPrincipalCommand,
  GetPolicyCommand,
  type IoTClient,
  ListAttachedPoliciesCommand,
  ListCertificatesCommand,
  ListPoliciesCommand,
  ListPolicyPrincipalsCommand,
  ListPrincipalThingsCommand,
  ListTargetsForPolicyCommand,
  ListThingPrincipalsCommand,
  ListThingsCommand,
  RegisterCertificateWithoutCACommand,
  UpdateCertificateCommand,
  UpdateThingCommand,
} from '@aws-sdk/client-iot';
import {
  DeleteThingShadowCommand,
  GetThingShadowCommand,
  PublishCommand,
  UpdateThingShadowCommand,
} from '@aws-sdk/client-iot-data-plane';
import { GetCallerIdentityCommand } from '@aws-sdk/client-sts';
import { createCertificateRequest, createKeyPair, createSelfSigned } from '../../greengrass/lib/x509.js';
import { Cloud, refusalOf } from './harness.js';

const DOCUMENT = JSON.stringify({
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Action: 'iot:*', Resource: '*' }],
});

let cloud: Cloud;
let iot: IoTClient;
beforeAll(async () => {
  cloud = await Cloud.start();
  iot = cloud.iot();
});
afterAll(async () => {
  iot.destroy();
  await cloud.stop();
});

describe('things', () => {
  it('are made once, described, changed and deleted', async () => {
    const attributePayload = { attributes: { floor: '2' } };
    const made = await iot.send(new CreateThingCommand({ thingName: 'lamp', attributePayload }));
    expect(made.thingArn).toBe(`arn:aws:iot:us-east-1:${cloud.installation.accountId}:thing/lamp`);
    const again = await iot.send(new CreateThingCommand({ thingName: 'lamp', attributePayload }));
    expect(again.thingId).toBe(made.thingId);
    expect(await refusalOf(iot.send(new CreateThingCommand({ thingName: 'lamp' })))).toMatchObject({
      status: 409,
      type: 'ResourceAlreadyExistsException',
    });
    await iot.send(
      new UpdateThingCommand({
        thingName: 'lamp',
        attributePayload: { attributes: { room: 'a' }, merge: true },
      }),
    );
    expect(await iot.send(new DescribeThingCommand({ thingName: 'lamp' }))).toMatchObject({
      thingName: 'lamp',
      defaultClientId: 'lamp',
      attributes: { floor: '2', room: 'a' },
      version: 2,
    });
    await iot.send(new DeleteThingCommand({ thingName: 'lamp' }));
    await iot.send(new DeleteThingCommand({ thingName: 'lamp' }));
    expect(await refusalOf(iot.send(new DescribeThingCommand({ thingName: 'lamp' })))).toEqual({
      status: 404,
      type: 'ResourceNotFoundException',
      message: 'Thing lamp does not exist',
    });
  });

  it('have names of letters, digits, colon, hyphen and underscore', async () => {
    for (const thingName of ['a b', 'a/b', 'ä', 'x'.repeat(129)]) {
      expect(await refusalOf(iot.send(new CreateThingCommand({ thingName })))).toMatchObject({
        status: 400,
        type: 'InvalidRequestException',
      });
    }
  });

  it('are listed in pages', async () => {
    for (const thingName of ['t1', 't2', 't3']) await iot.send(new CreateThingCommand({ thingName }));
    const first = await iot.send(new ListThingsCommand({ maxResults: 2 }));
    const rest = await iot.send(new ListThingsCommand({ maxResults: 2, nextToken: first.nextToken ?? '' }));
    const names = [...(first.things ?? []), ...(rest.things ?? [])].map((thing) => thing.thingName);
    expect(names).toEqual(['t1', 't2', 't3']);
    expect(rest.nextToken).toBeUndefined();
  });
});

describe('certificates', () => {
  it('are made with keys that are handed out once', async () => {
    const made = await iot.send(new CreateKeysAndCertificateCommand({ setAsActive: true }));
    const certificate = new X509Certificate(made.certificatePem ?? '');
    expect(made.certificateId).toBe(certificate.fingerprint256.replaceAll(':', '').toLowerCase());
    expect(made.keyPair?.PrivateKey).toContain('BEGIN RSA PRIVATE KEY');
    expect(
      certificate.verify(new X509Certificate(cloud.installation.clientCa.certificatePem).publicKey),
    ).toBe(true);
    const { certificateDescription } = await iot.send(
      new DescribeCertificateCommand({ certificateId: made.certificateId }),
    );
    expect(certificateDescription).toMatchObject({
      status: 'ACTIVE',
      certificatePem: made.certificatePem,
      ownedBy: cloud.installation.accountId,
    });
    expect(certificateDescription?.creationDate?.getTime()).toBeGreaterThan(Date.now() - 60_000);
    const { certificates } = await iot.send(new ListCertificatesCommand({}));
    expect(certificates?.map((one) => one.certificateId)).toContain(made.certificateId);
  });

  it('are made for a request whose sender holds the key', async () => {
    const keys = await createKeyPair();
    const certificateSigningRequest = createCertificateRequest(keys, [['CN', 'mine']]);
    const made = await iot.send(new CreateCertificateFromCsrCommand({ certificateSigningRequest }));
    const { publicKey, subject } = new X509Certificate(made.certificatePem ?? '');
    expect(publicKey.export({ type: 'spki', format: 'pem' })).toBe(keys.publicKeyPem);
    expect(subject).toBe('CN=AWS IoT Certificate');
    const broken = iot.send(new CreateCertificateFromCsrCommand({ certificateSigningRequest: 'no' }));
    expect(await refusalOf(broken)).toMatchObject({ status: 400, type: 'InvalidRequestException' });
  });

  it('of others are registered as they are, once', async () => {
    const own = await createSelfSigned({ subject: [['CN', 'v1 core']], notAfter: new Date('2049-01-01') });
    const register = () =>
      iot.send(
        new RegisterCertificateWithoutCACommand({ certificatePem: own.certificatePem, status: 'ACTIVE' }),
      );
    const { certificateId } = await register();
    expect(certificateId).toMatch(/^[0-9a-f]{64}$/);
    expect(await refusalOf(register())).toMatchObject({ type: 'ResourceAlreadyExistsException' });
  });

  it('lose their connections when they are no longer active, and are deleted only when nothing needs them', async () => {
    const { certificateId = '', certificateArn = '' } = await iot.send(
      new CreateKeysAndCertificateCommand({ setAsActive: true }),
    );
    await iot.send(new CreatePolicyCommand({ policyName: 'held', policyDocument: DOCUMENT }));
    await iot.send(new AttachPolicyCommand({ policyName: 'held', target: certificateArn }));
    await iot.send(new CreateThingCommand({ thingName: 'held' }));
    await iot.send(new AttachThingPrincipalCommand({ thingName: 'held', principal: certificateArn }));
    const remove = (forceDelete = false) =>
      refusalOf(iot.send(new DeleteCertificateCommand({ certificateId, forceDelete })));
    expect(await remove()).toMatchObject({ status: 406, type: 'CertificateStateException' });
    await iot.send(new UpdateCertificateCommand({ certificateId, newStatus: 'INACTIVE' }));
    expect(cloud.disconnected).toEqual([certificateId]);
    expect(await remove()).toMatchObject({ status: 409, type: 'DeleteConflictException' });
    expect((await refusalOf(iot.send(new DeleteThingCommand({ thingName: 'held' })))).message).toContain(
      'still attached',
    );
    await iot.send(new DetachThingPrincipalCommand({ thingName: 'held', principal: certificateArn }));
    expect((await remove()).message).toContain('policies must be detached');
    await iot.send(new DeleteCertificateCommand({ certificateId, forceDelete: true }));
    expect(await remove(true)).toMatchObject({ status: 404, type: 'ResourceNotFoundException' });
    const odd = new UpdateCertificateCommand({ certificateId, newStatus: 'PENDING_TRANSFER' });
    expect(await refusalOf(iot.send(odd))).toMatchObject({ status: 400 });
  });
});

describe('policies and principals', () => {
  it('are attached to certificates in the new and in the old way', async () => {
    const { certificateArn = '' } = await iot.send(new CreateKeysAndCertificateCommand({}));
    const made = await iot.send(new CreatePolicyCommand({ policyName: 'p+1', policyDocument: DOCUMENT }));
    expect(made).toMatchObject({ policyName: 'p+1', policyDocument: DOCUMENT, policyVersionId: '1' });
    const attached = async () =>
      (await iot.send(new ListAttachedPoliciesCommand({ target: certificateArn }))).policies?.map(
        (policy) => policy.policyName,
      );
    await iot.send(new AttachPolicyCommand({ policyName: 'p+1', target: certificateArn }));
    expect(await attached()).toEqual(['p+1']);
    const inUse = iot.send(new DeletePolicyCommand({ policyName: 'p+1' }));
    expect(await refusalOf(inUse)).toMatchObject({ status: 409, type: 'DeleteConflictException' });
    const targets = await iot.send(new ListTargetsForPolicyCommand({ policyName: 'p+1' }));
    expect(targets.targets).toEqual([certificateArn]);
    const principals = await iot.send(new ListPolicyPrincipalsCommand({ policyName: 'p+1' }));
    expect(principals.principals).toEqual([certificateArn]);
    expect(await refusalOf(iot.send(new ListPolicyPrincipalsCommand({ policyName: 'none' })))).toMatchObject({
      status: 404,
      type: 'ResourceNotFoundException',
    });
    await iot.send(new DetachPolicyCommand({ policyName: 'p+1', target: certificateArn }));
    expect(await attached()).toEqual([]);
    await iot.send(new AttachPrincipalPolicyCommand({ policyName: 'p+1', principal: certificateArn }));
    expect(await attached()).toEqual(['p+1']);
    await iot.send(new DetachPrincipalPolicyCommand({ policyName: 'p+1', principal: certificateArn }));
    expect((await iot.send(new ListPoliciesCommand({}))).policies?.map((p) => p.policyName)).toContain('p+1');
    expect((await iot.send(new GetPolicyCommand({ policyName: 'p+1' }))).policyDocument).toBe(DOCUMENT);
    await iot.send(new DeletePolicyCommand({ policyName: 'p+1' }));
    expect(await refusalOf(iot.send(new GetPolicyCommand({ policyName: 'p+1' })))).toMatchObject({
      status: 404,
    });
  });

  it('a policy document that is none is refused', async () => {
    for (const policyDocument of [
      '{',
      '{}',
      '[]',
      DOCUMENT.replace('Allow', 'Maybe'),
      DOCUMENT.padEnd(9, 'x'),
    ]) {
      if (policyDocument === DOCUMENT) continue;
      const command = new CreatePolicyCommand({ policyName: 'bad', policyDocument });
      expect(await refusalOf(iot.send(command))).toMatchObject({
        status: 400,
        type: 'MalformedPolicyException',
      });
    }
  });

  it('only what exists can be attached', async () => {
    const nobody = `arn:aws:iot:us-east-1:${cloud.installation.accountId}:cert/${'0'.repeat(64)}`;
    await iot.send(new CreateThingCommand({ thingName: 'alone' }));
    const principal = new AttachThingPrincipalCommand({ thingName: 'alone', principal: nobody });
    expect(await refusalOf(iot.send(principal))).toMatchObject({ status: 404 });
    const wrong = new AttachThingPrincipalCommand({ thingName: 'alone', principal: 'nobody' });
    expect(await refusalOf(iot.send(wrong))).toMatchObject({ status: 400 });
    expect((await iot.send(new ListThingPrincipalsCommand({ thingName: 'alone' }))).principals).toEqual([]);
    expect((await iot.send(new ListPrincipalThingsCommand({ principal: nobody }))).things).toEqual([]);
  });
});

describe('the data plane and STS', () => {
  it('endpoints name the port where it is not the usual one', async () => {
    const { endpointAddress } = await iot.send(new DescribeEndpointCommand({ endpointType: 'iot:Data-ATS' }));
    expect(endpointAddress).toBe('127.0.0.1:18883');
    const other = iot.send(new DescribeEndpointCommand({ endpointType: 'iot:Jobs' }));
    expect(await refusalOf(other)).toMatchObject({ status: 400 });
  });

  it('shadows pass through to the shadow service, refusals by their code', async () => {
    const data = cloud.iotData();
    const payload = Buffer.from('{"state":{"desired":{"a":1}}}');
    await data.send(new UpdateThingShadowCommand({ thingName: 'lamp', payload }));
    const got = await data.send(new GetThingShadowCommand({ thingName: 'lamp' }));
    expect(Buffer.from(got.payload ?? []).toString()).toBe(payload.toString());
    await data.send(new DeleteThingShadowCommand({ thingName: 'lamp' }));
    expect(await refusalOf(data.send(new GetThingShadowCommand({ thingName: 'lamp' })))).toMatchObject({
      status: 404,
      type: 'ResourceNotFoundException',
      message: expect.stringContaining("No shadow exists with name: 'lamp'"),
    });
    data.destroy();
  });

  it('publications reach the broker with topic and quality', async () => {
    const data = cloud.iotData();
    await data.send(new PublishCommand({ topic: 'a/b c/d', qos: 1, payload: Buffer.from('hello') }));
    expect(cloud.published.at(-1)).toEqual({ topic: 'a/b c/d', payload: 'hello', qos: 1 });
    await data.send(new PublishCommand({ topic: 'kept', retain: true, payload: Buffer.from('x') }));
    expect(cloud.published.pop()).toEqual({ topic: 'kept', payload: 'x', qos: 0, retain: true });
    expect(await refusalOf(data.send(new PublishCommand({ topic: 'a/#' })))).toMatchObject({ status: 400 });
    const shadow = '$aws/things/published/shadow/update';
    await data.send(new PublishCommand({ topic: shadow, payload: Buffer.from('{"state":{}}') }));
    expect(cloud.shadows.get('published')?.toString()).toBe('{"state":{}}');
    const forged = data.send(new PublishCommand({ topic: `${shadow}/delta`, payload: Buffer.from('{}') }));
    expect(await refusalOf(forged)).toMatchObject({ status: 400 });
    expect(cloud.published).toHaveLength(1);
    expect(await refusalOf(data.send(new PublishCommand({ topic: 'a', qos: 2 })))).toMatchObject({
      status: 400,
    });
    data.destroy();
  });

  it('STS says who the caller is', async () => {
    const sts = cloud.sts();
    expect(await sts.send(new GetCallerIdentityCommand({}))).toMatchObject({
      Account: cloud.installation.accountId,
      Arn: `arn:aws:iam::${cloud.installation.accountId}:root`,
    });
    sts.destroy();
  });
});
