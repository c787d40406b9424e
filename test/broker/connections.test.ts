/** Who may connect to the local MQTT server, and how connections end. */
import { connect, type TLSSocket } from 'node:tls';
import fc from 'fast-check';
import { generate } from 'mqtt-packet';
import { createSelfSigned } from '../../greengrass/lib/x509.js';
import { waitFor } from '../support/wait-for.js';
import { BrokerBench, makeDevice, memberOf, type TestDevice } from './bench.js';

const CONNECT_LAMP = generate({
  cmd: 'connect',
  clientId: 'lamp',
  protocolId: 'MQTT',
  protocolVersion: 4,
  clean: true,
  keepalive: 60,
});

let bench: BrokerBench;
let lamp: TestDevice;
let fan: TestDevice;
beforeAll(async () => {
  bench = await BrokerBench.start();
  [lamp, fan] = await Promise.all([makeDevice('lamp'), makeDevice('fan')]);
});
beforeEach(() => bench.setGroup(lamp, fan));
afterEach(() => bench.clear());
afterAll(() => bench.stop());

describe('a connection', () => {
  it('is accepted from a device of the group under its thing name', async () => {
    const { client } = await bench.connect(lamp);
    expect(client.connected).toBe(true);
    expect(bench.server.connected).toBe(1);
    expect(bench.server.health()).toEqual({ healthy: true });
  });

  it('is refused with a certificate that belongs to no device of the group', async () => {
    const stranger = await createSelfSigned({
      subject: [['CN', 'lamp']],
      notAfter: new Date(Date.now() + 60_000),
    });
    await bench.refusalOf(bench.open(stranger, 'lamp'));
    expect(bench.server.connected).toBe(0);
    expect(bench.lines).toContainEqual(
      expect.objectContaining({
        level: 40,
        msg: 'Connection refused: the certificate belongs to no device of the group.',
      }),
    );
  });

  it('is refused without a certificate', async () => {
    await bench.refusalOf(bench.open(undefined, 'lamp'));
    await waitFor(() => bench.lines.some(({ certificateId }) => certificateId === 'none'));
    expect(bench.server.connected).toBe(0);
  });

  it.each(['fan', 'Lamp', 'lamp2', ''])('is refused with the client id %j of somebody else', async (id) => {
    expect(await bench.refusalOf(bench.open(lamp, id))).toMatch(/Not authorized/);
    expect(bench.server.connected).toBe(0);
  });

  it('speaks for the thing whose name it gives, where things share a certificate', async () => {
    bench.server.setGroup({ devices: [lamp.member, memberOf('twin', lamp.certificatePem)] });
    const twin = await bench.connect({ ...lamp, thingName: 'twin' });
    await twin.client.publishAsync('a', 'x', { qos: 1 });
    expect(bench.published.map(({ source }) => source)).toEqual([
      memberOf('twin', lamp.certificatePem).thingArn,
    ]);
  });

  it('is refused over TLS 1.1', async () => {
    const socket = connect({
      host: '127.0.0.1',
      port: bench.server.port,
      ca: bench.ca.certificatePem,
      minVersion: 'TLSv1.1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    });
    const reason = await new Promise<string>((resolve) => {
      socket.once('error', ({ message }) => resolve(message));
      socket.once('secureConnect', () => resolve('connected'));
    });
    socket.destroy();
    expect(reason).toMatch(/protocol version/);
  });

  it('ends at the first packet that is no CONNECT', async () => {
    const socket = connect({
      host: '127.0.0.1',
      port: bench.server.port,
      ca: bench.ca.certificatePem,
      cert: lamp.certificatePem,
      key: lamp.privateKeyPem,
    });
    socket.on('error', () => undefined);
    // PUBLISH, QoS 0, topic "a", empty payload.
    socket.write(Buffer.from([0x30, 0x03, 0x00, 0x01, 0x61]));
    await new Promise((resolve) => socket.once('close', resolve));
    expect(bench.published).toEqual([]);
  });
});

describe('a TLS session that is resumed', () => {
  async function dial(session?: Buffer): Promise<{ socket: TLSSocket; ticket: () => Buffer | undefined }> {
    const socket = connect({
      ...{ host: '127.0.0.1', port: bench.server.port, ca: bench.ca.certificatePem },
      ...{ cert: lamp.certificatePem, key: lamp.privateKeyPem },
      ...(session ? { session } : {}),
    });
    let last: Buffer | undefined;
    socket.on('session', (ticket) => {
      last = ticket;
    });
    socket.on('error', () => undefined);
    await new Promise((resolve) => socket.once('secureConnect', resolve));
    return { socket, ticket: () => last };
  }

  it('speaks for the same certificate, and for no longer than the device is in the group', async () => {
    const first = await dial();
    first.socket.write(CONNECT_LAMP);
    const ticket = await waitFor(first.ticket);
    first.socket.destroy();
    const second = await dial(ticket);
    expect(second.socket.isSessionReused()).toBe(true);
    second.socket.write(CONNECT_LAMP);
    await new Promise((resolve) => second.socket.once('data', resolve));
    expect(bench.server.connected).toBe(1);
    bench.setGroup(fan);
    await waitFor(() => second.socket.destroyed);
    const third = await dial(ticket);
    third.socket.resume();
    await waitFor(() => third.socket.destroyed);
    expect(bench.lines.at(-1)?.msg).toMatch(/belongs to no device of the group|connection ended/);
  });
});

describe('a client id that connects again', () => {
  it('takes over: the old connection is closed, the new one works', async () => {
    const old = await bench.connect(lamp);
    await old.client.subscribeAsync('a');
    const fresh = await bench.connect(lamp);
    await waitFor(() => !old.client.connected);
    expect(bench.server.connected).toBe(1);
    const message = { source: 'cloud', topic: 'a', payload: Buffer.from('1'), qos: 0 } as const;
    expect(bench.server.endpoint.deliver(message, lamp.arn)).toBe(false);
    await fresh.client.subscribeAsync('a');
    expect(bench.server.endpoint.deliver(message, lamp.arn)).toBe(true);
    await waitFor(() => fresh.received.length === 1);
    expect(old.received).toEqual([]);
    await fresh.client.publishAsync('b', 'x', { qos: 1 });
    expect(bench.published).toMatchObject([{ source: lamp.arn, topic: 'b' }]);
  });

  it('can not be taken over with the certificate of another device', async () => {
    const { client } = await bench.connect(lamp);
    await bench.refusalOf(bench.open(fan, 'lamp'));
    await client.publishAsync('still/here', 'x', { qos: 1 });
    expect(bench.published).toMatchObject([{ source: lamp.arn }]);
  });
});

describe('bytes that are no MQTT', () => {
  it('end their own connection at most, before and after a CONNECT', async () => {
    const { client } = await bench.connect(fan);
    await fc.assert(
      fc.asyncProperty(
        fc.boolean(),
        fc.uint8Array({ minLength: 1, maxLength: 300 }),
        async (joins, bytes) => {
          const socket = connect({
            host: '127.0.0.1',
            port: bench.server.port,
            ca: bench.ca.certificatePem,
            cert: lamp.certificatePem,
            key: lamp.privateKeyPem,
          });
          socket.on('error', () => undefined);
          await new Promise((resolve) => socket.once('secureConnect', resolve));
          if (joins) socket.write(CONNECT_LAMP);
          await new Promise((resolve) => socket.write(Buffer.from(bytes), resolve));
          // PINGREQ twice: most of what is taken for a start of a packet ends with it.
          await new Promise((resolve) =>
            socket.end(Buffer.from([0xc0, 0, 0xc0, 0]), () => resolve(undefined)),
          );
          await client.publishAsync('alive', '', { qos: 1 });
          expect(bench.server.health().healthy).toBe(true);
          socket.destroy();
        },
      ),
      { numRuns: 60 },
    );
    expect(bench.published.every(({ source }) => source === fan.arn || source === lamp.arn)).toBe(true);
  });
});

describe('a new group', () => {
  it('cuts a device that is no longer in it, and nobody else', async () => {
    const [gone, stays] = [await bench.connect(lamp), await bench.connect(fan)];
    let drops = 0;
    stays.client.on('close', () => drops++);
    bench.setGroup(fan);
    await waitFor(() => !gone.client.connected);
    await stays.client.publishAsync('a', 'x', { qos: 1 });
    expect({ drops, connected: bench.server.connected }).toEqual({ drops: 0, connected: 1 });
    await bench.refusalOf(bench.open(lamp, 'lamp'));
  });

  it('cuts a device whose certificate was replaced', async () => {
    const { client } = await bench.connect(lamp);
    bench.server.setGroup({ devices: [memberOf('lamp', fan.certificatePem)] });
    await waitFor(() => !client.connected);
  });

  it('cuts a device before it finished its CONNECT, too', async () => {
    const socket = connect({
      host: '127.0.0.1',
      port: bench.server.port,
      ca: bench.ca.certificatePem,
      cert: lamp.certificatePem,
      key: lamp.privateKeyPem,
    });
    socket.on('error', () => undefined);
    await new Promise((resolve) => socket.once('secureConnect', resolve));
    bench.setGroup(fan);
    socket.write(CONNECT_LAMP);
    await new Promise((resolve) => socket.once('close', resolve));
    expect(bench.server.connected).toBe(0);
  });
});

describe('a new server certificate', () => {
  it('is shown to new connections, while open ones go on', async () => {
    const before = await bench.connect(lamp);
    let drops = 0;
    before.client.on('close', () => drops++);
    const certPem = await bench.replaceCertificate();
    bench.server.reloadCertificate();
    await bench.connect(fan);
    const socket = connect({
      host: '127.0.0.1',
      port: bench.server.port,
      ca: bench.ca.certificatePem,
    });
    socket.on('error', () => undefined);
    await new Promise((resolve) => socket.once('secureConnect', resolve));
    const shown = socket.getPeerX509Certificate()?.toString();
    socket.destroy();
    expect(shown?.trim()).toBe(certPem.trim());
    await before.client.publishAsync('a', 'x', { qos: 1 });
    expect(drops).toBe(0);
  });
});

describe('a server that stops', () => {
  it('closes its connections, frees its port, and can start again', async () => {
    const own = await BrokerBench.start();
    own.setGroup(lamp);
    const { client } = await own.connect(lamp);
    const { port } = own.server;
    await own.server.stop();
    await waitFor(() => !client.connected);
    expect(own.server.health().healthy).toBe(false);
    await own.server.stop();
    await own.server.start();
    await own.connect(lamp);
    await own.stop();
    const socket = connect({ host: '127.0.0.1', port });
    const refusal = await new Promise<string>((resolve) =>
      socket.once('error', ({ message }) => resolve(message)),
    );
    expect(refusal).toMatch(/ECONNREFUSED/);
  });
});
