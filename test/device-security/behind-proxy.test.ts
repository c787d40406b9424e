/**
 * A whole core whose only way out is a proxy that wants a password, with everything on port 443: nothing listens there, the
 * proxy leads on to the cloud. So whatever left the core by another way would not arrive.
 */
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer as createHttp, type Server } from 'node:http';
import { createServer as createHttps } from 'node:https';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { AssociateRoleToGroupCommand } from '@aws-sdk/client-greengrass';
import { freePort, greengrassd } from '../../greengrass/dev/programs.js';
import { createKeyPair, createSelfSigned, issueCertificate } from '../../greengrass/lib/x509.js';
import { describeAsRoot } from '../support/as-root.js';
import { defineGroup, deploy, publishFunction } from '../support/group.js';
import { startSystem, type TestSystem } from '../support/system.js';
import { waitFor } from '../support/wait-for.js';

const AUTHORIZATION = `Basic ${Buffer.from('Mary:pass@word').toString('base64')}`;

describeAsRoot.each([['http'], ['https']] as const)('a core behind a proxy (%s)', (kind) => {
  let system: TestSystem;
  let proxy: Server;
  let proxyPort: number;
  let targets: string[];
  let refused: number;
  const sockets = new Set<Socket>();
  const file = () => join(system.root, 'config/config.json');
  const setPassword = (password: string) => {
    const config = JSON.parse(readFileSync(file(), 'utf8')) as { coreThing: Record<string, unknown> };
    Object.assign(config.coreThing, {
      ...{ iotHost: 'localhost', ggHost: 'localhost', iotMqttPort: 443, ggHttpPort: 443, iotHttpPort: 443 },
      networkProxy: { proxy: { url: `${kind}://127.0.0.1:${proxyPort}`, username: 'Mary', password } },
    });
    writeFileSync(file(), JSON.stringify(config), { mode: 0o600 });
  };

  beforeAll(async () => {
    const alpnPort = await freePort();
    system = await startSystem([], ['--alpn-port', String(alpnPort)]);
    const notAfter = new Date(Date.now() + 86_400_000);
    const ca = await createSelfSigned({ subject: [['CN', 'proxy CA']], notAfter, isCa: true });
    const keys = await createKeyPair();
    const cert = issueCertificate(ca, keys.publicKeyPem, {
      subject: [['CN', 'proxy']],
      notAfter,
      hosts: ['127.0.0.1'],
      usage: 'server',
    });
    proxy = kind === 'https' ? createHttps({ cert, key: keys.privateKeyPem }) : createHttp();
    [targets, refused] = [[], 0];
    proxy.on('connect', (request, socket: Socket) => {
      sockets.add(socket);
      if (request.headers['proxy-authorization'] !== AUTHORIZATION) {
        refused++;
        socket.end('HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n');
        return;
      }
      targets.push(request.url ?? '');
      const onwards = connect(alpnPort, '127.0.0.1');
      sockets.add(onwards);
      for (const [from, to] of [
        [socket, onwards],
        [onwards, socket],
      ] as const) {
        from.on('error', () => to.destroy());
        from.on('close', () => to.destroy());
        from.pipe(to);
      }
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    proxyPort = (proxy.address() as AddressInfo).port;
    // V1: the CA of an HTTPS proxy goes into the file of root CAs.
    appendFileSync(join(system.root, 'certs/root.ca.pem'), ca.certificatePem);
    setPassword('pass@word');
    await greengrassd(system.root, 'start');
  });
  afterAll(async () => {
    await system?.close();
    proxy?.close();
    for (const socket of sockets) socket.destroy();
  });

  it('is deployed a function, asks for its server certificate and for credentials, all through the proxy', async () => {
    await system.clients.greengrass.send(
      new AssociateRoleToGroupCommand({
        GroupId: system.groupId,
        RoleArn: `arn:aws:iam::${system.cloud.info.accountId}:role/GreengrassGroupRole`,
      }),
    );
    const arn = await publishFunction(system, {
      name: 'credentials',
      handler: 'main.handler',
      files: {
        'main.py': [
          'import os, urllib.request, sys',
          "request = urllib.request.Request(os.environ['AWS_CONTAINER_CREDENTIALS_FULL_URI'],",
          "    headers={'Authorization': os.environ['AWS_CONTAINER_AUTHORIZATION_TOKEN']})",
          'urllib.request.install_opener(urllib.request.build_opener(urllib.request.ProxyHandler({})))',
          "print('credentials', b'SecretAccessKey' in urllib.request.urlopen(request).read(), file=sys.stderr)",
          'def handler(event, context): pass',
        ].join('\n'),
      },
    });
    const version = await defineGroup(system, {
      functions: [
        {
          arn,
          configuration: {
            ...{ Pinned: true, Timeout: 20 },
            Environment: { Execution: { IsolationMode: 'NoContainer' } },
          },
        },
      ],
      subscriptions: [],
    });
    const { DeploymentStatus, ErrorMessage } = await deploy(system, version);
    expect([DeploymentStatus, ErrorMessage]).toEqual(['Success', undefined]);
    const { region, accountId } = system.cloud.info;
    await waitFor(() =>
      system.log(`user/${region}/${accountId}/credentials.log`).includes('credentials True'),
    );
    expect(new Set(targets)).toEqual(new Set(['localhost:443']));
    // MQTT and HTTPS each have their own.
    expect(targets.length).toBeGreaterThanOrEqual(2);
    expect(refused).toBe(0);
  });

  it('says what is wrong where the password is, and never shows it', async () => {
    setPassword('mistaken');
    await greengrassd(system.root, 'restart');
    await waitFor(() => refused > 0);
    await waitFor(() =>
      system.log('system/runtime.log').includes('check username and password of networkProxy'),
    );
    for (const secret of ['mistaken', 'pass@word'])
      expect(system.log('system/runtime.log')).not.toContain(secret);
  });
});
