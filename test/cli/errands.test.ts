/** gg's own verbs as commands: what they read, write and print. What they do in full is the journeys' matter. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { errorText } from '../../greengrass/cli/error-text.js';
import { PACKAGE_ROOT } from '../../greengrass/lib/package-root.js';
import { Cloud } from '../cloud-api/harness.js';
import { run, runGg } from './gg.js';

let cloud: Cloud;
let folder: string;
let ready: string[];

beforeAll(async () => {
  cloud = await Cloud.start();
  folder = await mkdtemp(join(tmpdir(), 'gg-errands-'));
  const file = join(folder, 'ready.json');
  const caFile = join(folder, 'ca.pem');
  const mqtt = { host: 'mqtt.example', port: 18883 };
  const https = { host: 'https.example', port: 18443 };
  writeFileSync(caFile, 'the CA');
  writeFileSync(
    file,
    JSON.stringify({ api: cloud.url, mqtt, https, caFile, region: 'us-east-1', ...cloud.credentials }),
  );
  ready = ['--ready-file', file];
});
afterAll(async () => {
  await cloud.stop();
  await rm(folder, { recursive: true, force: true });
});

it('bootstrap, device create, lambda publish and deploy go hand in hand', async () => {
  const env = { HOME: folder };
  const root = join(folder, 'root');
  const core = ['--group-name', 'attic', '--core-name', 'attic-core', '--root', root];
  const ports = ['--core-mqtt-port', '8884', '--core-daemon-port', '8001'];
  const made = await runGg(env, 'bootstrap', ...core, ...ports, ...ready);
  expect(made).toMatchObject({ code: 0, err: '' });
  expect(made.out).toMatch(
    /^Group attic \(.+\), core attic-core: .+config\.json\nNext, on the core: sudo .+greengrassd start/,
  );
  const config = JSON.parse(readFileSync(join(root, 'config', 'config.json'), 'utf8')) as {
    coreThing: Record<string, unknown>;
  };
  expect(config.coreThing).toMatchObject({
    ...{ iotMqttPort: 18883, ggHttpPort: 18443 },
    ...{ ggMqttPort: 8884, ggDaemonPort: 8001 },
  });

  const out = join(folder, 'thermometer');
  const device = ['--group', 'attic', '--name', 'thermometer', '--out', out, '--json'];
  const created = await runGg(env, 'device', 'create', ...device, ...ready);
  expect(created).toMatchObject({ code: 0, err: '' });
  expect(created.out).not.toContain('PRIVATE KEY');
  expect(readdirSync(out).length).toBeGreaterThanOrEqual(3);

  const lambda = await runGg(env, 'lambda', 'publish', join(PACKAGE_ROOT, 'lambdas', 'counter'), ...ready);
  expect(lambda).toMatchObject({ code: 0, err: '' });
  expect(lambda.out).toMatch(/^arn:aws:lambda:us-east-1:\d+:function:[^:]+:1\n$/);

  const deployed = await runGg(env, 'deploy', '--group', 'attic', ...ready);
  expect(deployed).toMatchObject({ code: 0, err: '' });
  expect(deployed.out).toMatch(/^Deployment .+ started\n$/);
});

it('bootstrap writes a root for another machine: its configuration names the paths there', async () => {
  const root = join(folder, 'to-copy');
  const core = ['--group-name', 'cellar', '--core-name', 'cellar-core', '--root', root];
  const made = await runGg({ HOME: folder }, 'bootstrap', ...core, '--root-on-core', '/greengrass', ...ready);
  expect(made).toMatchObject({ code: 0, out: expect.stringMatching(/sudo \/greengrass\/ggc\/core/) });
  const config = readFileSync(join(root, 'config', 'config.json'), 'utf8');
  expect(config).toContain('"file:///greengrass/certs/root.ca.pem"');
  expect(config).not.toContain(folder);
  expect(readdirSync(join(root, 'certs'))).toHaveLength(4);
});

it('env gives a shell what it needs to reach the cloud, with nothing of it run as a command', async () => {
  const file = join(folder, 'hostile.json');
  const secretAccessKey = "it's $(touch touched) `x`";
  const place = { host: 'h', port: 1 };
  writeFileSync(
    file,
    JSON.stringify({
      ...{ api: cloud.url, mqtt: place, https: place, caFile: '/ca.pem', region: 'us-east-1' },
      ...{ accessKeyId: 'AKIA', secretAccessKey },
    }),
  );
  const printed = await runGg({}, 'env', '--ready-file', file);
  expect(printed).toMatchObject({ code: 0, err: '' });
  const script = `eval "$1"; printf '%s|' "$AWS_ENDPOINT_URL" "$AWS_DEFAULT_REGION" "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY"`;
  const shell = await run('/bin/sh', ['-c', script, 'sh', printed.out], {});
  expect(shell.out).toBe(`${cloud.url}|us-east-1|AKIA|${secretAccessKey}|`);
  expect(await runGg({}, 'env')).toMatchObject({ code: 2, err: expect.stringMatching(/--ready-file/) });
});

it('errands say which key or place is missing', async () => {
  const none = { HOME: join(folder, 'nobody'), AWS_EC2_METADATA_DISABLED: 'true' };
  const keyless = await runGg(none, 'deploy', '--group', 'attic', '--endpoint', cloud.url);
  expect(keyless).toMatchObject({
    code: 1,
    err: expect.stringMatching(/^there are no keys: give --ready-file/),
  });
  const placeless = await runGg(none, 'deploy', '--group', 'attic');
  expect(placeless).toMatchObject({ code: 1, err: expect.stringMatching(/^the endpoint is not known/) });
  const optionless = await runGg(none, 'deploy');
  expect(optionless).toMatchObject({ code: 2, err: expect.stringMatching(/--group <name>/) });
});

it('the help loads neither the SDK nor what checks input', async () => {
  const coverage = join(folder, 'coverage');
  const { code, out } = await runGg({ NODE_V8_COVERAGE: coverage }, '--help');
  expect(code).toBe(0);
  expect(out).toMatch(/bootstrap[\s\S]*API verbs[\s\S]*create- +connector-definition/);
  expect(existsSync(coverage)).toBe(true);
  const loaded = readdirSync(coverage)
    .map((file) => readFileSync(join(coverage, file), 'utf8'))
    .join();
  expect(loaded).toContain('own-verbs.js');
  expect(loaded).not.toMatch(/node_modules\/(@aws-sdk|@smithy|zod|yaml)\//);
});

it('without the AWS SDK, as on a core device, a verb says where to run it instead', () => {
  const code = 'ERR_MODULE_NOT_FOUND';
  const error = Object.assign(new Error("Cannot find package '@aws-sdk/client-greengrass' imported from x"), {
    code,
  });
  expect(errorText(error)).toMatch(/run it where greengrass-cloud is installed/);
  expect(errorText(new Error('else'))).toBe('else');
});
