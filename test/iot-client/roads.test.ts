/** The ways to the cloud: through proxies, on port 443, and with a persistent session. */
import { createServer as createHttp, type Server } from 'node:http';
import { createServer as createHttps } from 'node:https';
import { type AddressInfo, connect, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { CloudSubscriptions } from '../../greengrass/core/iot-client/cloud-subscriptions.js';
import { compileTable } from '../../greengrass/core/router/subscription-table.js';
import { ServiceClient } from '../../greengrass/core/service-client.js';
import { CheckError } from '../../greengrass/lib/check.js';
import { createLogger } from '../../greengrass/lib/log.js';
import { parseCoreConfig } from '../../greengrass/model/core-config.js';
import { type NetworkProxy, networkProxyOf, proxyFor } from '../../greengrass/model/network-proxy.js';
import { waitFor } from '../support/wait-for.js';
import { CloudBench } from './bench.js';

let bench: CloudBench;
const closers: Array<() => void> = [];
beforeEach(async () => {
  bench = await CloudBench.create();
  await bench.start();
});
afterEach(async () => {
  await bench.close();
  for (const close of closers.splice(0)) close();
});

interface Asked {
  readonly target: string;
  readonly authorization: string | undefined;
}

/** A proxy that leads every CONNECT to the bench's cloud (or `port`), whatever its target; `status` refuses instead. */
async function makeProxy(
  isHttps: boolean,
  status = 200,
  port = bench.port,
): Promise<{ asked: Asked[]; proxy: NetworkProxy }> {
  const asked: Asked[] = [];
  const tls = { cert: bench.server.certificatePem, key: bench.server.privateKeyPem };
  const server: Server = isHttps ? createHttps(tls) : createHttp();
  const sockets = new Set<Socket>();
  server.on('connect', (request, socket: Socket) => {
    asked.push({ target: request.url ?? '', authorization: request.headers['proxy-authorization'] });
    sockets.add(socket);
    if (status !== 200) {
      socket.end(`HTTP/1.1 ${status} No\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    const onwards = connect(port, 'localhost');
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
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  closers.push(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const { port: own } = server.address() as AddressInfo;
  return { asked, proxy: { host: 'localhost', port: own, isHttps, exempt: [] } };
}

describe('a proxy', () => {
  it.each([
    ['HTTP', false],
    ['HTTPS', true],
  ])('(%s) leads to the cloud, with TLS from end to end', async (_name, isHttps) => {
    const { asked, proxy } = await makeProxy(isHttps);
    const connection = bench.connection({ proxy, port: 8883 });
    await connection.start();
    await waitFor(() => connection.connected);
    await connection.publish('a', 'x', 1);
    expect(asked).toEqual([{ target: 'localhost:8883', authorization: undefined }]);
    expect(bench.protocols).toEqual([false]);
  });

  it('gets user name and password; port 443 is spoken with the protocol name of MQTT', async () => {
    const { asked, proxy } = await makeProxy(false);
    const connection = bench.connection({
      proxy: { ...proxy, username: 'Mary_Major', password: 'pass@word1357' },
      port: 443,
    });
    await connection.start();
    await waitFor(() => connection.connected);
    const authorization = `Basic ${Buffer.from('Mary_Major:pass@word1357').toString('base64')}`;
    expect(asked).toEqual([{ target: 'localhost:443', authorization }]);
    expect(bench.protocols).toEqual(['x-amzn-mqtt-ca']);
  });

  it.each([
    [407, /check username and password of networkProxy/],
    [403, /refused the connection to localhost:8883 \(403\)/],
  ])('that answers %i is told by name, without its password', async (status, reason) => {
    const { proxy } = await makeProxy(false, status);
    const connection = bench.connection({
      proxy: { ...proxy, username: 'Mary', password: 'secret1' },
      port: 8883,
    });
    await connection.start();
    await waitFor(() => bench.lines.some((line) => reason.test(String(line.reason))));
    expect(JSON.stringify(bench.lines)).toContain(`proxy http://localhost:${proxy.port}`);
    expect(JSON.stringify(bench.lines)).not.toContain('secret1');
    expect(connection.connected).toBe(false);
  });

  it('serves the HTTPS requests of the core as well', async () => {
    const cloud = createHttps(
      {
        cert: bench.server.certificatePem,
        key: bench.server.privateKeyPem,
        ca: bench.ca.certificatePem,
        requestCert: true,
        ALPNProtocols: ['x-amzn-http-ca'],
      },
      (request, response) => {
        const { authorized } = request.socket as TLSSocket;
        response.end(JSON.stringify({ ConnectivityInfo: [{ Id: `${request.url} ${authorized}` }] }));
      },
    );
    await new Promise<void>((resolve) => cloud.listen(0, 'localhost', resolve));
    const { port } = cloud.address() as AddressInfo;
    const { asked, proxy } = await makeProxy(false, 200, port);
    const service = new ServiceClient({
      host: 'localhost',
      port: 443,
      caPem: bench.ca.certificatePem,
      certPem: bench.core.certificatePem,
      keyPem: bench.core.privateKeyPem,
      proxy,
      logger: createLogger({ level: 'error', stream: { write: () => undefined } }),
      retryBaseMs: 1,
    });
    for (const thing of ['a', 'b']) {
      const [endpoint] = await service.connectivityInfo(thing);
      expect(endpoint?.Id).toMatch(new RegExp(`/${thing}.* true$`));
    }
    // One tunnel for both requests.
    expect(asked.map(({ target }) => target)).toEqual(['localhost:443']);
    service.close();
    cloud.close();
    const dead = { ...proxy, port: 1 };
    const lost = new ServiceClient({
      host: 'localhost',
      port: 443,
      caPem: '',
      certPem: '',
      keyPem: '',
      proxy: dead,
      logger: createLogger({ level: 'error', stream: { write: () => undefined } }),
      retryBaseMs: 1,
    });
    await expect(lost.connectivityInfo('a')).rejects.toThrow(/proxy http:\/\/localhost:1/);
    lost.close();
  });

  it('is left out for exempt hosts, and tried again where it is away', async () => {
    const { asked, proxy } = await makeProxy(false);
    const direct = bench.connection({ proxy: { ...proxy, exempt: ['localhost'] } });
    await direct.start();
    await waitFor(() => direct.connected);
    expect(asked).toEqual([]);
    const dead = bench.connection({ proxy: { ...proxy, port: 1 }, retryBaseMs: 10 });
    await dead.start();
    await waitFor(() => bench.lines.filter(({ msg }) => msg === 'Not connected to the cloud.').length > 3);
    await dead.stop();
  });
});

describe('networkProxy of config.json', () => {
  const of = (url: string, more = {}) => networkProxyOf({ proxy: { url, ...more } });

  it('has the members of V1', () => {
    expect(of('https://my-proxy-server:1100', { username: 'Mary', password: 'p' })).toEqual({
      host: 'my-proxy-server',
      port: 1100,
      isHttps: true,
      username: 'Mary',
      password: 'p',
      exempt: [],
    });
    expect(of('http://user:p%40ss@[::1]', { username: 'other' })).toMatchObject({
      host: '::1',
      port: 80,
      username: 'user',
      password: 'p@ss',
    });
    expect(of('https://proxy').port).toBe(443);
  });

  it.each(['socks5://proxy', 'proxy', 'ftp://proxy:1'])('refuses %s', (url) => {
    expect(() => of(url)).toThrow(/http/i);
  });

  it('reads the list of exempt hosts as V1 writes it', () => {
    const proxy = networkProxyOf({
      noProxyAddresses: 'http://128.12.34.56, www.MyWebsite.com,.internal:80',
      proxy: { url: 'http://p' },
    });
    const hosts = ['128.12.34.56', 'WWW.mywebsite.com', 'a.internal', 'iot.example.com'];
    expect(hosts.map((host) => proxyFor(proxy, host) === undefined)).toEqual([true, true, true, false]);
    expect(proxyFor(undefined, 'x')).toBeUndefined();
  });

  it('is checked with the file, and shows no password in its errors', () => {
    const config = (url: string) =>
      JSON.stringify({
        coreThing: {
          caPath: 'a',
          certPath: 'b',
          keyPath: 'c',
          thingArn: 'arn:aws:iot:eu-central-1:123456789012:thing/core',
          iotHost: 'iot',
          ggHost: 'gg',
          networkProxy: { proxy: { url, password: 'hidden' } },
        },
      });
    const parse = (url: string) => parseCoreConfig(config(url), { root: '/greengrass', file: 'config.json' });
    expect(parse('http://proxy:3128')).toMatchObject({
      config: { networkProxy: { host: 'proxy', port: 3128 } },
      warnings: [],
    });
    let error: unknown;
    try {
      parse('gopher://u:hidden@proxy');
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(CheckError);
    expect(String(error)).toMatch(/coreThing\.networkProxy\.proxy\.url/);
    expect(String(error)).not.toContain('hidden');
  });
});

describe('a persistent session', () => {
  const table = (...subjects: string[]) =>
    compileTable(subjects.map((Subject) => ({ Source: 'cloud', Subject, Target: 'lamp' })));
  const plain = () => bench.connection({ retryBaseMs: 20 });
  const persistent = () => bench.connection({ clientId: 'core-c00', isPersistent: true, retryBaseMs: 20 });

  it('brings what the cloud sent while the core was away', async () => {
    const received: string[] = [];
    const connection = persistent();
    connection.subscribe('a/#', (_topic, payload) => received.push(String(payload)));
    await connection.start();
    await waitFor(() => bench.subscribed.length === 1);
    await connection.stop();
    for (const n of [1, 2, 3]) bench.send('a/b', String(n), 1);
    await connection.start();
    await waitFor(() => received.length === 3);
    expect(received).toEqual(['1', '2', '3']);
  });

  it('forgets the filters that went while it was away', async () => {
    const connection = persistent();
    const handler = () => undefined;
    connection.subscribe('a', handler);
    connection.subscribe('b', handler);
    await connection.start();
    await waitFor(() => bench.subscribed.flat().length === 2);
    bench.dropAll();
    await waitFor(() => !connection.connected);
    connection.unsubscribe('a', handler);
    await waitFor(() => bench.unsubscribed.length === 1);
    expect(bench.unsubscribed).toEqual(['a']);
  });

  it('says when the cloud knows all filters, also on a connection that is only made for them', async () => {
    const [first, second] = [plain(), persistent()];
    const subscriptions = new CloudSubscriptions(first, second, () => undefined);
    let isSettled = false;
    await subscriptions.settled();
    subscriptions.setTable(table('a'));
    const settled = subscriptions.settled().then(() => {
      isSettled = true;
    });
    expect(isSettled).toBe(false);
    await first.start();
    await settled;
    expect(bench.subscribed.flat()).toEqual(['a']);
    subscriptions.setQuality('AtLeastOncePersistent');
    subscriptions.setTable(table('a', 'b'));
    await subscriptions.settled();
    expect(bench.subscribed.flat().sort()).toEqual(['a', 'a', 'b']);
    await subscriptions.stop();
  });

  it('is a second connection, which runs only while the group asks for it', async () => {
    const received: string[] = [];
    const [first, second] = [plain(), persistent()];
    const subscriptions = new CloudSubscriptions(first, second, (topic) => received.push(topic));
    await first.start();
    await waitFor(() => first.connected);
    subscriptions.setTable(table('a'));
    await waitFor(() => bench.subscribed.length === 1);
    expect(bench.connects).toEqual(['core']);

    subscriptions.setQuality('AtLeastOncePersistent');
    await waitFor(() => bench.subscribed.length === 2 && bench.unsubscribed.length === 1);
    expect(bench.connects).toEqual(['core', 'core-c00']);
    subscriptions.setTable(table('a', 'b'));
    await waitFor(() => bench.subscribed.length === 3);
    bench.send('b', 'x', 1);
    await waitFor(() => received.length === 1);

    subscriptions.setQuality('AtMostOnce');
    await waitFor(() => !second.connected);
    await waitFor(() => bench.subscribed.flat().length === 5);
    bench.send('a', 'x', 1);
    await waitFor(() => received.length === 2);
    expect(received).toEqual(['b', 'a']);
    await subscriptions.stop();
  });
});
