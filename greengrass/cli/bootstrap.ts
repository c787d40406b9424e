/** `gg bootstrap`: thing, certificate, policy, group and config.json of a core, ready for `greengrassd start`. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import {
  CreateCoreDefinitionCommand,
  CreateFunctionDefinitionCommand,
  CreateGroupCommand,
} from '@aws-sdk/client-greengrass';
import { type Clients, present } from './clients.js';
import { createIdentity, type PolicyStatement, type Scope, writeIdentity } from './identity.js';

export interface Connection {
  readonly iotHost: string;
  readonly mqttPort: number;
  readonly ggHost: string;
  readonly httpsPort: number;
  /** CA that signed the cloud's server certificate. */
  readonly caFile: string;
}

export interface BootstrapOptions extends Connection {
  readonly groupName: string;
  readonly coreName: string;
  /** The greengrass root to fill. */
  readonly root: string;
  /** Where that root will be on the core device, which config.json names; `root` where it is absent. */
  readonly rootOnCore?: string;
  /** More members of config.json: of coreThing, and `pidFileDirectory` of the top level. */
  readonly config?: { ggMqttPort?: number; ggDaemonPort?: number; pidFileDirectory?: string };
}

export interface BootstrappedCore {
  readonly groupId: string;
  readonly thingArn: string;
  readonly certificateArn: string;
  readonly configFile: string;
}

export async function bootstrapCore(clients: Clients, options: BootstrapOptions): Promise<BootstrappedCore> {
  const root = resolve(options.root);
  const configFile = join(root, 'config', 'config.json');
  if (existsSync(configFile)) {
    throw new Error(`${configFile} exists already: name another --root, or move the old configuration away`);
  }
  const identity = await createIdentity(clients, options.coreName, (scope) =>
    corePolicy(scope, options.coreName),
  );
  const hash = present(identity.certificateArn.split('/').at(-1), 'certificate id').slice(0, 10);
  writeIdentity(identity, join(root, 'certs'), hash, options.caFile);
  const core = await clients.greengrass.send(
    new CreateCoreDefinitionCommand({
      Name: `${options.groupName}-core`,
      InitialVersion: {
        Cores: [
          {
            Id: options.coreName,
            ThingArn: identity.thingArn,
            CertificateArn: identity.certificateArn,
            SyncShadow: true,
          },
        ],
      },
    }),
  );
  // Automatic detection: discovery then tells devices where the core is, as after V1's easy creation of a group.
  const functions = await clients.greengrass.send(
    new CreateFunctionDefinitionCommand({
      Name: `${options.groupName}-functions`,
      InitialVersion: {
        Functions: [
          {
            Id: 'ip-detector',
            FunctionArn: 'arn:aws:lambda:::function:GGIPDetector:1',
            FunctionConfiguration: { Pinned: true, MemorySize: 32768, Timeout: 3 },
          },
        ],
      },
    }),
  );
  const group = await clients.greengrass.send(
    new CreateGroupCommand({
      Name: options.groupName,
      InitialVersion: {
        CoreDefinitionVersionArn: present(core.LatestVersionArn, 'LatestVersionArn'),
        FunctionDefinitionVersionArn: present(functions.LatestVersionArn, 'LatestVersionArn'),
      },
    }),
  );
  mkdirSync(join(root, 'config'), { recursive: true });
  writeFileSync(
    configFile,
    `${JSON.stringify(coreConfig(options, options.rootOnCore ?? root, hash, identity.thingArn), null, 2)}\n`,
    {
      mode: 0o600,
    },
  );
  return {
    groupId: present(group.Id, 'Id'),
    thingArn: identity.thingArn,
    certificateArn: identity.certificateArn,
    configFile,
  };
}

/** config.json in the form of V1.7 and later, with the older members beside it. */
function coreConfig(options: BootstrapOptions, root: string, hash: string, thingArn: string): object {
  const { pidFileDirectory, ...ports } = options.config ?? {};
  const uri = (name: string) => `file://${join(root, 'certs', name)}`;
  const key = uri(`${hash}.private.key`);
  return {
    coreThing: {
      caPath: 'root.ca.pem',
      certPath: `${hash}.cert.pem`,
      keyPath: `${hash}.private.key`,
      thingArn,
      iotHost: options.iotHost,
      ggHost: options.ggHost,
      iotMqttPort: options.mqttPort,
      ggHttpPort: options.httpsPort,
      keepAlive: 600,
      ...ports,
    },
    runtime: { cgroup: { useSystemd: 'yes' } },
    managedRespawn: false,
    crypto: {
      principals: {
        SecretsManager: { privateKeyPath: key },
        IoTCertificate: { privateKeyPath: key, certificatePath: uri(`${hash}.cert.pem`) },
      },
      caPath: uri('root.ca.pem'),
    },
    ...(pidFileDirectory === undefined ? {} : { pidFileDirectory }),
  };
}

/** V1's minimal policy of a core, and its messages: any topic that is not the system's. */
export function corePolicy({ iot, greengrass }: Scope, name: string): PolicyStatement[] {
  return [
    {
      Effect: 'Allow',
      Action: ['iot:Connect'],
      Resource: [`${iot}:client/${name}`, `${iot}:client/${name}-*`],
    },
    {
      Effect: 'Allow',
      Action: ['iot:Publish', 'iot:Receive'],
      Resource: [`${iot}:topic/$aws/things/${name}-*`, `${iot}:topic/*`],
    },
    {
      Effect: 'Allow',
      Action: ['iot:Subscribe'],
      Resource: [`${iot}:topicfilter/$aws/things/${name}-*`, `${iot}:topicfilter/*`],
    },
    {
      Effect: 'Allow',
      Action: ['iot:GetThingShadow', 'iot:UpdateThingShadow', 'iot:DeleteThingShadow'],
      Resource: [`${iot}:thing/*`],
    },
    {
      Effect: 'Allow',
      Action: ['greengrass:AssumeRoleForGroup', 'greengrass:CreateCertificate'],
      Resource: ['*'],
    },
    {
      Effect: 'Allow',
      Action: [
        'greengrass:GetDeployment',
        'greengrass:GetDeploymentArtifacts',
        'greengrass:UpdateCoreDeploymentStatus',
      ],
      Resource: [`${greengrass}:/greengrass/groups/*`],
    },
    {
      Effect: 'Allow',
      Action: ['greengrass:GetConnectivityInfo', 'greengrass:UpdateConnectivityInfo'],
      Resource: [`${iot}:thing/${name}`, `${iot}:thing/${name}-*`],
    },
  ];
}
