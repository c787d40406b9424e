import { CheckError } from '../../greengrass/lib/check.js';
import { parseCoreConfig } from '../../greengrass/model/core-config.js';

const ROOT = '/greengrass';
const FILE = '/greengrass/config/config.json';

const V1_6 = {
  coreThing: {
    caPath: 'root.ca.pem',
    certPath: '86c84488a5.cert.pem',
    keyPath: '86c84488a5.private.key',
    thingArn: 'arn:aws:iot:us-west-2:123456789012:thing/my-core',
    iotHost: 'abc.iot.us-west-2.amazonaws.com',
    ggHost: 'greengrass.iot.us-west-2.amazonaws.com',
    keepAlive: 600,
    mqttMaxConnectionRetryInterval: 30,
  },
  runtime: { cgroup: { useSystemd: 'yes' } },
  managedRespawn: true,
};

const V1_11 = {
  ...V1_6,
  coreThing: { ...V1_6.coreThing, ggDaemonPort: 8001, ggMqttPort: 8884 },
  crypto: {
    caPath: 'file:///etc/ca.pem',
    principals: {
      IoTCertificate: { privateKeyPath: 'file:///etc/key.pem', certificatePath: 'file:///etc/cert.pem' },
      SecretsManager: { privateKeyPath: 'file:///etc/key.pem' },
    },
  },
  writeDirectory: '/var/greengrass',
  pidFileDirectory: '/run/gg',
};

const parse = (value: unknown) =>
  parseCoreConfig(typeof value === 'string' ? value : JSON.stringify(value), { root: ROOT, file: FILE });

function problemsOf(value: unknown): string {
  try {
    parse(value);
  } catch (error) {
    if (error instanceof CheckError) return error.message;
    throw error;
  }
  throw new Error('the configuration was accepted');
}

describe('config.json', () => {
  it('of V1.6 loads: certificates in coreThing, defaults filled in', () => {
    const { config, warnings } = parse(V1_6);
    expect(config).toMatchObject({
      thingName: 'my-core',
      region: 'us-west-2',
      accountId: '123456789012',
      caPath: '/greengrass/certs/root.ca.pem',
      certificatePath: '/greengrass/certs/86c84488a5.cert.pem',
      privateKeyPath: '/greengrass/certs/86c84488a5.private.key',
      iotMqttPort: 8883,
      ggHttpPort: 8443,
      ggDaemonPort: 8000,
      mqttMaxConnectionRetryIntervalS: 30,
      maxWorkItemCount: 1024,
      writeDirectory: '/greengrass/ggc',
      pidFileDirectory: '/var/run',
      coreClientId: 'my-core',
      allowFunctionsToRunAsRoot: false,
    });
    expect(warnings).toEqual([]);
  });

  it('of V1.11 loads: crypto wins over coreThing', () => {
    const { config } = parse(V1_11);
    expect(config).toMatchObject({
      caPath: '/etc/ca.pem',
      certificatePath: '/etc/cert.pem',
      privateKeyPath: '/etc/key.pem',
      ggDaemonPort: 8001,
      ggMqttPort: 8884,
      writeDirectory: '/var/greengrass',
      pidFileDirectory: '/run/gg',
    });
  });

  it('is frozen', () => {
    expect(Object.isFrozen(parse(V1_6).config)).toBe(true);
  });

  it('names members that nobody knows, and goes on', () => {
    const { warnings } = parse({ ...V1_6, coreThing: { ...V1_6.coreThing, keepalive: 5 }, extra: 1 });
    expect(warnings.join('\n')).toMatch(/coreThing\.keepalive/);
    expect(warnings.join('\n')).toMatch(/^extra /m);
  });

  it.each<[string, unknown, RegExp]>([
    ['no JSON', '{"coreThing": ', /config\.json: is not valid JSON/],
    ['nothing', {}, /coreThing/],
    [
      'a wrong ARN',
      { ...V1_6, coreThing: { ...V1_6.coreThing, thingArn: 'my-core' } },
      /coreThing\.thingArn: must be arn:aws:iot/,
    ],
    [
      'a port that is none',
      { ...V1_6, coreThing: { ...V1_6.coreThing, ggDaemonPort: 70000 } },
      /coreThing\.ggDaemonPort/,
    ],
    [
      'no key',
      { ...V1_6, coreThing: { ...V1_6.coreThing, keyPath: undefined } },
      /missing the CaPath, CertPath or KeyPath/,
    ],
    [
      'a URI scheme that is none',
      { ...V1_11, crypto: { ...V1_11.crypto, caPath: '/etc/ca.pem' } },
      /crypto\.caPath: ErrUnknownURIScheme/,
    ],
    [
      'too few concurrent workers',
      { ...V1_6, runtime: { maxConcurrentLimit: 5, lruSize: 10 } },
      /runtime\.maxConcurrentLimit/,
    ],
    [
      'an issuer that is none',
      { ...V1_6, mqttServerCertificate: { issuer: 'me' } },
      /mqttServerCertificate\.issuer/,
    ],
  ])('with %s is refused with its place', (_name, value, expected) => {
    expect(problemsOf(value)).toMatch(expected);
  });

  it('has the cloud sign the certificate of the MQTT server, unless the core is to', () => {
    expect(parse(V1_6).config.serverCertificateIssuer).toBe('cloud');
    const own = parse({ ...V1_11, mqttServerCertificate: { issuer: 'core' } });
    expect(own.config.serverCertificateIssuer).toBe('core');
  });

  it('lists all problems at once', () => {
    const text = problemsOf({ ...V1_6, coreThing: { ...V1_6.coreThing, iotHost: '', ggHost: 7 } });
    expect(text).toMatch(/coreThing\.iotHost/);
    expect(text).toMatch(/coreThing\.ggHost/);
  });
});
