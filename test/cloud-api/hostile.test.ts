/** Whatever is sent to a route: never a 5xx, and never a change where the answer is a refusal. */
import { request } from 'node:http';
import fc from 'fast-check';
import type { Operation } from '../../greengrass/cloud/api/operation.js';
import { Cloud } from './harness.js';

let cloud: Cloud;
beforeAll(async () => {
  cloud = await Cloud.start({ auth: 'none' });
});
afterAll(() => cloud.stop());

interface Answer {
  readonly status: number;
  readonly body: string;
}

function send(
  method: string,
  path: string,
  body: Buffer,
  headers: Record<string, string> = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { port } = new URL(cloud.url);
    // Said outright, since node sends none with DELETE, and the body would be read as the next request.
    const all = { 'content-length': String(body.length), ...headers };
    const outgoing = request({ host: '127.0.0.1', port, method, path, headers: all }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('error', reject);
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(parts).toString() }),
      );
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

/** All that the store keeps of what the API can make. */
async function snapshot(): Promise<string> {
  const { containers, things, certificates, policies, lambdas, roles, secrets, bulkDeployments, jobs } =
    cloud.store;
  const kinds = [
    'groups',
    'cores',
    'devices',
    'functions',
    'subscriptions',
    'resources',
    'loggers',
    'connectors',
  ];
  return JSON.stringify([
    await Promise.all(kinds.map((kind) => containers.list(kind as 'groups', 1000))),
    await things.list(1000),
    await certificates.list(1000),
    await policies.list(1000),
    await lambdas.listFunctions(1000),
    await secrets.list(1000),
    await bulkDeployments.list(1000),
    await jobs.list(1000),
    await roles.find('account'),
  ]);
}

const MEMBERS = [
  'Name',
  'InitialVersion',
  'tags',
  'Cores',
  'Functions',
  'DefaultConfig',
  'Subscriptions',
  'Resources',
  'DeploymentType',
  'Force',
  'RoleArn',
  'ConnectivityInfo',
  'CertificateExpiryInMilliseconds',
  'policyDocument',
  'certificateSigningRequest',
  'certificatePem',
  'attributePayload',
  'target',
  'FunctionName',
  'Code',
  'Environment',
  '__proto__',
  'constructor',
];

const hostileJson = fc.oneof(
  fc.jsonValue({ maxDepth: 4 }),
  fc.dictionary(fc.constantFrom(...MEMBERS), fc.jsonValue({ maxDepth: 4 }), { maxKeys: 6 }),
);
const hostileBody = fc.oneof(
  hostileJson.map((value) => Buffer.from(JSON.stringify(value))),
  fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes)),
  fc.constantFrom(
    Buffer.alloc(0),
    Buffer.from('['.repeat(50_000)),
    Buffer.from(`${'{"Name":'.repeat(20_000)}1${'}'.repeat(20_000)}`),
    Buffer.from('{"Name":"\\ud800"}'),
    Buffer.from('{"Name":"a","Name":"b"}'),
    Buffer.from('null'),
  ),
);
const hostileSegment = fc.oneof(
  fc.constantFrom(
    'x',
    '%2e%2e',
    '%00',
    '%2F',
    '..%2f..',
    '%ff',
    '%',
    '$reset',
    'a%20b',
    '%F0%9F%98%80',
    '*',
    '__proto__',
  ),
  fc.string({ minLength: 1, maxLength: 200 }).map((text) => encodeURIComponent(text.toLowerCase())),
);
const hostileQuery = fc.oneof(
  fc.constantFrom(
    '',
    '?MaxResults=-1',
    '?MaxResults=1&MaxResults=2',
    '?NextToken=x',
    '?maxResults=1e9&nextToken=%00',
    '?marker=WyJ0aGluZ3MiLDFd',
    '?qos=9',
    '?newStatus=x',
    '?forceDelete=maybe',
    '?Qualifier=%20',
    '?tagKeys=a&tagKeys=b',
    '?%=%&&==',
  ),
);

function pathOf(operation: Operation, segments: readonly string[]): string {
  const pattern = typeof operation.path === 'string' ? operation.path : (operation.path[0] ?? '');
  let index = 0;
  return pattern.replace(/[:*][A-Za-z0-9]+/g, () => segments[index++ % segments.length] ?? 'x');
}

function targetOf({ target }: Operation): Record<string, string> {
  return target === undefined ? {} : { 'x-amz-target': target };
}

it('every route answers hostile requests with a refusal or a success, and a refusal changes nothing', async () => {
  const all = cloud.operations();
  expect(all.length).toBeGreaterThan(100);
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...all),
      fc.array(hostileSegment, { minLength: 1, maxLength: 3 }),
      hostileQuery,
      hostileBody,
      async (operation, segments, query, body) => {
        const before = await snapshot();
        const path = pathOf(operation, segments) + query;
        const answer = await send(operation.method, path, body, targetOf(operation));
        expect(answer.status).toBeLessThan(500);
        if (answer.status >= 400) expect(await snapshot()).toBe(before);
      },
    ),
    { numRuns: 800, seed: 20261121 },
  );
});

it('a refused body of each route is a 400 that names a rule, never a 5xx', async () => {
  const broken = ['{', '[]', '"x"', '5', 'null', '{"Name":5,"tags":5,"InitialVersion":5,"RoleArn":5}'];
  for (const operation of cloud.operations()) {
    if (operation.method === 'GET') continue;
    for (const text of broken) {
      const answer = await send(
        operation.method,
        pathOf(operation, ['x']),
        Buffer.from(text),
        targetOf(operation),
      );
      expect(answer.status).toBeLessThan(500);
    }
  }
});

it('bodies in an encoding, and headers that are none, are refused', async () => {
  const gzip = await send('POST', '/greengrass/groups', Buffer.from('x'), { 'content-encoding': 'gzip' });
  expect(gzip.status).toBe(415);
  const tokens = ['é'.repeat(10), ' '.repeat(100), ''];
  for (const token of tokens) {
    const headers = { 'x-amzn-client-token': Buffer.from(token).toString('latin1') };
    const { status } = await send('POST', '/greengrass/groups', Buffer.from('{"Name":"g"}'), headers);
    expect(status).toBe(400);
  }
});

it('a list of ten thousand subscriptions is taken, one more is not', async () => {
  const Subscriptions = Array.from({ length: 10_000 }, (_, n) => ({
    Id: `s${n}`,
    Source: 'cloud',
    Subject: `a/${n}`,
    Target: 'arn:aws:iot:us-east-1:123456789012:thing/device',
  }));
  const path = '/greengrass/definition/subscriptions';
  const post = (list: object[]) =>
    send('POST', path, Buffer.from(JSON.stringify({ InitialVersion: { Subscriptions: list } })));
  expect((await post(Subscriptions)).status).toBe(201);
  expect((await post([...Subscriptions, { ...Subscriptions[0], Id: 'more' }])).status).toBe(400);
});
