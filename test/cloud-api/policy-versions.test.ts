import { randomUUID } from 'node:crypto';
import {
  AttachPolicyCommand,
  CreateKeysAndCertificateCommand,
  CreatePolicyCommand,
  CreatePolicyVersionCommand,
  DeletePolicyCommand,
  DeletePolicyVersionCommand,
  DescribeCertificateCommand,
  DetachPolicyCommand,
  GetPolicyCommand,
  GetPolicyVersionCommand,
  type IoTClient,
  ListPolicyVersionsCommand,
  RegisterCertificateCommand,
  SetDefaultPolicyVersionCommand,
} from '@aws-sdk/client-iot';
import {
  certificateId,
  createKeyPair,
  createSelfSigned,
  issueCertificate,
  publicKeyOf,
} from '../../greengrass/lib/x509.js';
import { Cloud, refusalOf } from './harness.js';

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

const documentOf = (Action: string) =>
  JSON.stringify({ Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action, Resource: '*' }] });

async function policy(): Promise<string> {
  const policyName = `p-${randomUUID()}`;
  await iot.send(new CreatePolicyCommand({ policyName, policyDocument: documentOf('iot:Connect') }));
  return policyName;
}
const add = (policyName: string, action: string, setAsDefault?: boolean) =>
  iot.send(
    new CreatePolicyVersionCommand({
      policyName,
      policyDocument: documentOf(action),
      ...(setAsDefault === undefined ? {} : { setAsDefault }),
    }),
  );
const remove = (policyName: string, policyVersionId: string) =>
  iot.send(new DeletePolicyVersionCommand({ policyName, policyVersionId }));
const setDefault = (policyName: string, policyVersionId: string) =>
  iot.send(new SetDefaultPolicyVersionCommand({ policyName, policyVersionId }));
async function versionsOf(policyName: string): Promise<string[]> {
  const { policyVersions = [] } = await iot.send(new ListPolicyVersionsCommand({ policyName }));
  return policyVersions.map(
    ({ versionId, isDefaultVersion }) => `${versionId}${isDefaultVersion ? '*' : ''}`,
  );
}

describe('versions of a policy', () => {
  it('are counted up, and a policy says what its default version says', async () => {
    const name = await policy();
    expect(await versionsOf(name)).toEqual(['1*']);
    expect(await add(name, 'iot:Publish')).toMatchObject({
      policyArn: `arn:aws:iot:us-east-1:${cloud.installation.accountId}:policy/${name}`,
      policyDocument: documentOf('iot:Publish'),
      policyVersionId: '2',
      isDefaultVersion: false,
    });
    const get = () => iot.send(new GetPolicyCommand({ policyName: name }));
    expect(await get()).toMatchObject({
      policyDocument: documentOf('iot:Connect'),
      defaultVersionId: '1',
    });
    expect(await add(name, 'iot:Receive', true)).toMatchObject({
      policyVersionId: '3',
      isDefaultVersion: true,
    });
    expect(await get()).toMatchObject({ policyDocument: documentOf('iot:Receive'), defaultVersionId: '3' });
    await setDefault(name, '2');
    expect(await get()).toMatchObject({ policyDocument: documentOf('iot:Publish'), defaultVersionId: '2' });
    expect(await versionsOf(name)).toEqual(['3', '2*', '1']);
    const version = await iot.send(new GetPolicyVersionCommand({ policyName: name, policyVersionId: '1' }));
    expect(version).toMatchObject({
      policyName: name,
      policyDocument: documentOf('iot:Connect'),
      policyVersionId: '1',
      isDefaultVersion: false,
    });
    expect(version.creationDate).toBeInstanceOf(Date);
  });

  it('are five at most; a number that was deleted does not come back', async () => {
    const name = await policy();
    for (let i = 0; i < 4; i++) await add(name, 'iot:Publish');
    expect(await refusalOf(add(name, 'iot:Publish', true))).toEqual({
      status: 409,
      type: 'VersionsLimitExceededException',
      message: `The policy ${name} already has the maximum number of versions (5)`,
    });
    expect(await versionsOf(name)).toEqual(['5', '4', '3', '2', '1*']);
    await remove(name, '5');
    expect((await add(name, 'iot:Publish')).policyVersionId).toBe('6');
  });

  it('made at the same time are five at most, too', async () => {
    const name = await policy();
    const made = await Promise.allSettled(Array.from({ length: 12 }, () => add(name, 'iot:Publish')));
    expect(made.filter(({ status }) => status === 'fulfilled')).toHaveLength(4);
    expect(await versionsOf(name)).toEqual(['5', '4', '3', '2', '1*']);
  });

  it('the default one is not deleted, also where both are asked for at the same time', async () => {
    const name = await policy();
    expect(await refusalOf(remove(name, '1'))).toEqual({
      status: 409,
      type: 'DeleteConflictException',
      message: `Cannot delete the default version of a policy (name=${name})`,
    });
    for (let version = 2; version < 12; version++) {
      await add(name, 'iot:Publish');
      await Promise.allSettled([setDefault(name, `${version}`), remove(name, `${version}`)]);
      const list = await versionsOf(name);
      expect(list.filter((one) => one.endsWith('*'))).toHaveLength(1);
      for (const one of list) if (!one.endsWith('*')) await remove(name, one);
    }
  });

  it('what is not there, or no policy, is refused', async () => {
    const name = await policy();
    for (const id of ['2', '0', '01', 'x', '99999999999']) {
      for (const refused of [
        iot.send(new GetPolicyVersionCommand({ policyName: name, policyVersionId: id })),
        setDefault(name, id),
        remove(name, id),
      ]) {
        expect(await refusalOf(refused)).toEqual({
          status: 404,
          type: 'ResourceNotFoundException',
          message: `Policy version not found (name=${name}, version=${id})`,
        });
      }
    }
    for (const refused of [add('none', 'iot:Publish'), versionsOf('none'), setDefault('none', '1')]) {
      expect(await refusalOf(refused)).toMatchObject({
        status: 404,
        type: 'ResourceNotFoundException',
        message: 'Policy not found (name=none)',
      });
    }
    const broken = new CreatePolicyVersionCommand({ policyName: name, policyDocument: '{"Version":' });
    expect(await refusalOf(iot.send(broken))).toMatchObject({
      status: 400,
      type: 'MalformedPolicyException',
    });
    expect(await versionsOf(name)).toEqual(['1*']);
  });

  it('go with their policy', async () => {
    const name = await policy();
    await add(name, 'iot:Publish', true);
    await remove(name, '1');
    await iot.send(new DeletePolicyCommand({ policyName: name }));
    const policyDocument = documentOf('iot:Connect');
    await iot.send(new CreatePolicyCommand({ policyName: name, policyDocument }));
    expect(await versionsOf(name)).toEqual(['1*']);
  });

  it('a new default has the connections of each certificate looked at again, and no others', async () => {
    const name = await policy();
    const certificates = await Promise.all(
      Array.from({ length: 3 }, () => iot.send(new CreateKeysAndCertificateCommand({ setAsActive: true }))),
    );
    for (const { certificateArn } of certificates) {
      await iot.send(new AttachPolicyCommand({ policyName: name, target: certificateArn }));
    }
    await iot.send(new DetachPolicyCommand({ policyName: name, target: certificates[2]?.certificateArn }));
    const bound = certificates.slice(0, 2).map(({ certificateId: id }) => id);
    const reviewed = async (work: () => Promise<unknown>) => {
      cloud.reviewed.length = 0;
      await work().catch(() => undefined);
      return [...cloud.reviewed].sort();
    };
    expect(await reviewed(() => add(name, 'iot:Publish'))).toEqual([]);
    expect(await reviewed(() => setDefault(name, '2'))).toEqual(bound.sort());
    expect(await reviewed(() => add(name, 'iot:Receive', true))).toEqual(bound.sort());
    expect(await reviewed(() => remove(name, '1'))).toEqual([]);
    expect(await reviewed(() => setDefault(name, '1'))).toEqual([]);
  });
});

describe('RegisterCertificate', () => {
  const notAfter = new Date(Date.now() + 1e9);
  const authority = (cn: string) => createSelfSigned({ subject: [['CN', cn]], notAfter, isCa: true });
  async function signedBy(ca: Awaited<ReturnType<typeof authority>>): Promise<string> {
    const { publicKeyPem } = await createKeyPair();
    return issueCertificate(ca, publicKeyPem, { subject: [['CN', 'device']], notAfter });
  }
  const register = (certificatePem: string, more: object = {}) =>
    iot.send(new RegisterCertificateCommand({ certificatePem, ...more }));
  const statusOf = async (id: string | undefined) =>
    (await iot.send(new DescribeCertificateCommand({ certificateId: id }))).certificateDescription?.status;

  it('takes a certificate with the CA that signed it, or without', async () => {
    const ca = await authority('ca');
    const pem = await signedBy(ca);
    const made = await register(pem, { caCertificatePem: ca.certificatePem, setAsActive: true });
    expect(made.certificateId).toBe(certificateId(pem));
    expect(await statusOf(made.certificateId)).toBe('ACTIVE');
    const described = await iot.send(new DescribeCertificateCommand({ certificateId: made.certificateId }));
    expect(publicKeyOf(described.certificateDescription?.certificatePem ?? '')).toBe(publicKeyOf(pem));
    expect(await statusOf((await register(await signedBy(ca))).certificateId)).toBe('INACTIVE');
    const active = await register(await signedBy(ca), { status: 'ACTIVE' });
    expect(await statusOf(active.certificateId)).toBe('ACTIVE');
  });

  it('refuses one that another CA signed, one that is there, and what is no certificate', async () => {
    const [ca, other] = await Promise.all([authority('ca'), authority('ca')]);
    const pem = await signedBy(ca);
    expect(await refusalOf(register(pem, { caCertificatePem: other.certificatePem }))).toEqual({
      status: 400,
      type: 'CertificateValidationException',
      message: 'certificatePem was not signed by the CA in caCertificatePem',
    });
    // A certificate that signed nothing, of the name of the CA, with its own key.
    expect((await refusalOf(register(pem, { caCertificatePem: pem }))).type).toBe(
      'CertificateValidationException',
    );
    await expect(statusOf(certificateId(pem))).rejects.toThrow();
    await register(pem, { caCertificatePem: ca.certificatePem });
    expect(await refusalOf(register(pem))).toMatchObject({
      status: 409,
      type: 'ResourceAlreadyExistsException',
    });
    for (const broken of ['none', pem.slice(0, 200)]) {
      const rule = { status: 400, type: 'InvalidRequestException' };
      expect(await refusalOf(register(broken))).toMatchObject({
        ...rule,
        message: expect.stringMatching(/\bcertificatePem\b/),
      });
      expect(await refusalOf(register(pem, { caCertificatePem: broken }))).toMatchObject({
        ...rule,
        message: expect.stringContaining('caCertificatePem'),
      });
    }
  });
});
