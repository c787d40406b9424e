/** The disk of a core that AWS left behind, as V1 laid it out. Made up, with keys of its own. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../../greengrass/dev/programs.js';
import { type CertifiedKey, certificateId, createSelfSigned } from '../../greengrass/lib/x509.js';

export const ACCOUNT = '123456789012';
export const REGION = 'us-west-2';
const IOT = `arn:aws:iot:${REGION}:${ACCOUNT}`;
const LAMBDA = `arn:aws:lambda:${REGION}:${ACCOUNT}:function`;
const GREENGRASS = `arn:aws:greengrass:${REGION}:${ACCOUNT}:/greengrass/groups/0b5b4dbc-6e7f-4e57-93a5-5f1a8f3f1a11`;

export interface V1Root {
  readonly root: string;
  readonly core: CertifiedKey;
  readonly device: CertifiedKey;
  readonly echoArn: string;
}

const ECHO = `
import json, os, greengrasssdk
client = greengrasssdk.client('iot-data')
def handler(event, context):
    client.publish(topic='line/answer', payload=json.dumps({'rate': os.environ['RATE'], 'event': event}))
`;

export async function makeV1Root(folder: string, sdk: (folder: string) => void): Promise<V1Root> {
  const root = join(folder, 'greengrass');
  const tenYears = new Date(Date.now() + 10 * 365 * 86_400_000);
  const identity = () => createSelfSigned({ subject: [['CN', 'AWS IoT Certificate']], notAfter: tenYears });
  const [core, device, oldCa] = [await identity(), await identity(), await identity()];
  const echoArn = `${LAMBDA}:line-echo:4`;
  const write = (file: string, text: string, mode = 0o644) => {
    mkdirSync(join(root, file, '..'), { recursive: true });
    writeFileSync(join(root, file), text, { mode });
  };
  write('certs/ab12cd34ef.cert.pem', core.certificatePem);
  write('certs/ab12cd34ef.private.key', core.privateKeyPem, 0o600);
  write('certs/root.ca.pem', oldCa.certificatePem);
  const key = `file://${root}/certs/ab12cd34ef.private.key`;
  const config = {
    coreThing: {
      caPath: 'root.ca.pem',
      certPath: 'ab12cd34ef.cert.pem',
      keyPath: 'ab12cd34ef.private.key',
      thingArn: `${IOT}:thing/line-core`,
      iotHost: 'a1b2c3d4e5f6g7-ats.iot.us-west-2.amazonaws.com',
      ggHost: 'greengrass-ats.iot.us-west-2.amazonaws.com',
      keepAlive: 600,
      ggMqttPort: await freePort(),
      ggDaemonPort: await freePort(),
    },
    runtime: { cgroup: { useSystemd: 'yes' } },
    managedRespawn: false,
    crypto: {
      principals: {
        SecretsManager: { privateKeyPath: key },
        IoTCertificate: { privateKeyPath: key, certificatePath: `file://${root}/certs/ab12cd34ef.cert.pem` },
      },
      caPath: `file://${root}/certs/root.ca.pem`,
    },
    pidFileDirectory: join(folder, 'run'),
  };
  write('config/config.json', JSON.stringify(config, null, 4), 0o600);
  const member = (name: string, { certificatePem }: CertifiedKey) => ({
    thingArn: `${IOT}:thing/${name}`,
    certArn: `${IOT}:cert/${certificateId(certificatePem)}`,
  });
  const lambda = (arn: string, settings: object) => ({
    FunctionArn: arn,
    ArtifactArn: `${GREENGRASS}/deployments/1/artifacts/lambda/cc0ef34a-a3c4-4651-ba3f-a49cf6d0f925`,
    DeploymentConfiguration: settings,
  });
  const group = {
    $Schema: null,
    Arn: `${GREENGRASS}/versions/526f58c0-85fe-428e-b96e-9e7787bc8f22`,
    Version: null,
    Region: REGION,
    Cores: [member('line-core', core)],
    Devices: [member('line-sensor', device)],
    GroupDefinitions: {
      Resources: {
        ref: null,
        Content: [
          {
            Id: 'data',
            Name: 'data',
            Type: 'LOCAL_VOLUME',
            Data: { type: 'LocalVolumeResourceData', SourcePath: '/tmp', DestinationPath: '/data' },
          },
          {
            Id: 'model',
            Name: 'model',
            Type: 'S3_OBJECT',
            Data: { type: 'S3MachineLearningModelResourceData' },
          },
        ],
      },
      Lambdas: {
        ref: null,
        Content: [
          lambda(echoArn, {
            Priority: 1,
            Pinned: true,
            CodeSha256: 'In5ZyAflHEVwVTnJTliEx22PsiRB89isLl67prh5i0Y=',
            CodeSize: 4652,
            Description: 'echoes what the line says',
            Handler: 'main.handler',
            MemorySize: 65_536,
            Timeout: 10,
            EncodingType: 'json',
            Runtime: 'python3.7',
            Environment: {
              Variables: { RATE: '5' },
              ResourceAccessPolicies: [{ ResourceId: 'model', Permission: 'ro' }],
              AccessSysfs: false,
              Execution: { IsolationMode: 'NoContainer', RunAs: { Uid: 64001, Gid: 64001 } },
            },
          }),
          {
            FunctionArn: 'arn:aws:lambda:::function:GGIPDetector:1',
            DeploymentConfiguration: { Pinned: true, MemorySize: 32_768, Timeout: 3 },
          },
        ],
      },
      Subscriptions: {
        ref: null,
        Content: [
          { Id: 's1', Source: `${IOT}:thing/line-sensor`, Subject: 'line/ask', Target: echoArn },
          { Id: 's2', Source: echoArn, Subject: 'line/answer', Target: `${IOT}:thing/line-sensor` },
        ],
      },
      Logging: {
        Content: [{ Type: 'FileSystem', Component: 'GreengrassSystem', Level: 'INFO', Space: 128 }],
      },
      ShadowSync: { ref: null, Content: [{ thingArn: `${IOT}:thing/line-sensor` }] },
      ClientCertFingerprints: { Content: [certificateId(device.certificatePem)] },
    },
  };
  write('ggc/deployment/group/group.json', JSON.stringify(group, null, 2), 0o600);
  write(`ggc/deployment/lambda/${echoArn}/main.py`, ECHO);
  sdk(join(root, `ggc/deployment/lambda/${echoArn}`));
  for (const path of ['', 'ggc', 'ggc/deployment', 'ggc/deployment/lambda'])
    chmodSync(join(root, path), 0o755);
  return { root, core, device, echoArn };
}
