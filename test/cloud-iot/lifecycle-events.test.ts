/** Lifecycle events: who came and went, and why. */
import { waitFor } from '../support/wait-for.js';
import { ARN, Lab, type LabIdentity } from './lab.js';
import type { RawClient } from './raw-client.js';

interface Event {
  readonly topic: string;
  readonly body: Record<string, unknown>;
}

describe('lifecycle events', () => {
  let lab: Lab;
  let identity: LabIdentity;
  let witness: RawClient;
  const events: Event[] = [];
  beforeAll(async () => {
    lab = await Lab.open();
    await lab.start();
    identity = await lab.identity('everybody');
    witness = await lab.connect(identity, 'witness');
    await witness.subscribe({ '$aws/events/presence/#': 1, '$aws/events/subscriptions/#': 0 });
  });
  afterAll(() => lab.close());

  function collect(): Event[] {
    for (const packet of witness.received.splice(0)) {
      if (packet.cmd !== 'publish') continue;
      const body = JSON.parse(packet.payload.toString()) as Record<string, unknown>;
      events.push({ topic: packet.topic, body });
    }
    return events;
  }
  const event = (topic: string, count = 1) =>
    waitFor(() => collect().filter((one) => one.topic === `$aws/events/${topic}`)[count - 1]?.body, {
      what: `event ${topic}`,
    });

  it('tells who connected, and that it left by itself', async () => {
    const before = Date.now();
    const client = await lab.connect(identity, 'd1');
    const connected = await event('presence/connected/d1');
    expect(connected).toEqual({
      ...{ clientId: 'd1', timestamp: expect.any(Number), eventType: 'connected' },
      sessionIdentifier: expect.stringMatching(/^[0-9a-f-]{36}$/),
      ...{ principalIdentifier: identity.certificateId, ipAddress: '127.0.0.1', versionNumber: 0 },
    });
    expect(connected.timestamp).toBeGreaterThanOrEqual(before);
    await client.disconnect();
    expect(await event('presence/disconnected/d1')).toEqual({
      ...{ clientId: 'd1', timestamp: expect.any(Number), eventType: 'disconnected' },
      ...{ sessionIdentifier: connected.sessionIdentifier, principalIdentifier: identity.certificateId },
      ...{ clientInitiatedDisconnect: true, disconnectReason: 'CLIENT_INITIATED_DISCONNECT' },
      versionNumber: 0,
    });
    await lab.connect(identity, 'd1');
    expect(await event('presence/connected/d1', 2)).toMatchObject({ versionNumber: 1 });
  });

  it('tells of a connection that was lost', async () => {
    await (await lab.connect(identity, 'd2')).drop();
    expect(await event('presence/disconnected/d2')).toMatchObject({
      clientInitiatedDisconnect: false,
      disconnectReason: 'CONNECTION_LOST',
    });
  });

  it('tells of the older of two with one client id, before the newer', async () => {
    const older = await lab.connect(identity, 'd3');
    const newer = await lab.connect(identity, 'd3');
    await older.gone();
    expect(await event('presence/disconnected/d3')).toMatchObject({
      ...{ disconnectReason: 'DUPLICATE_CLIENTID', versionNumber: 0 },
    });
    expect(await event('presence/connected/d3', 2)).toMatchObject({ versionNumber: 1 });
    const about = collect().filter(({ topic }) => topic.endsWith('/d3'));
    expect(about.map(({ body }) => body.eventType)).toEqual(['connected', 'disconnected', 'connected']);
    expect(newer.closed).toBe(false);
  });

  it('tells of what was not allowed, and of what no client may do', async () => {
    const narrow = await lab.identity('narrow', [
      { Effect: 'Allow', Action: 'iot:Connect', Resource: ARN('client/d4') },
    ]);
    const refused = await lab.connect(narrow, 'd4');
    refused.send({ cmd: 'publish', topic: 'a', payload: 'x', qos: 0, retain: false, dup: false });
    expect(await event('presence/disconnected/d4')).toMatchObject({ disconnectReason: 'AUTH_ERROR' });
    const wrong = await lab.connect(identity, 'd5');
    wrong.send({ cmd: 'publish', topic: '$aws/x', payload: 'x', qos: 0, retain: false, dup: false });
    expect(await event('presence/disconnected/d5')).toMatchObject({ disconnectReason: 'CLIENT_ERROR' });
    const noise = await lab.connect(identity, 'd6');
    noise.socket.write(Buffer.from([0xf0, 0]));
    expect(await event('presence/disconnected/d6')).toMatchObject({ disconnectReason: 'CLIENT_ERROR' });
  });

  it('tells of a certificate that was deactivated', async () => {
    const former = await lab.identity('former');
    const broker = await lab.start();
    const other = await lab.connect(identity, 'other witness', {}, broker);
    await other.subscribe({ '$aws/events/presence/disconnected/d7': 1 });
    await lab.connect(former, 'd7', {}, broker);
    broker.disconnectCertificate(former.certificateId);
    const { payload } = await other.message();
    expect(JSON.parse(payload.toString())).toMatchObject({ disconnectReason: 'AUTH_ERROR' });
    await lab.stop(broker);
  });

  it('tells of subscriptions that were granted and given up, not of those that end with the connection', async () => {
    const client = await lab.connect(identity, 'd8');
    await client.subscribe({ x: 1, y: 0, $refused: 0 });
    expect(await event('subscriptions/subscribed/d8')).toMatchObject({
      ...{ clientId: 'd8', eventType: 'subscribed', topics: ['x', 'y'] },
      principalIdentifier: identity.certificateId,
    });
    client.send({ cmd: 'unsubscribe', messageId: 3, unsubscriptions: ['x'] });
    expect(await event('subscriptions/unsubscribed/d8')).toMatchObject({ topics: ['x'] });
    await client.disconnect();
    await event('presence/disconnected/d8');
    const gaveUp = collect().filter(({ topic }) => topic.endsWith('unsubscribed/d8'));
    expect(gaveUp).toHaveLength(1);
  });

  it('tells nothing of who was refused', async () => {
    const nobody = await lab.identity('nobody', []);
    await expect(lab.connect(nobody, 'd9')).rejects.toThrow(/5/);
    await (await lab.connect(identity, 'd10')).disconnect();
    await event('presence/disconnected/d10');
    expect(collect().filter(({ topic }) => topic.endsWith('/d9'))).toEqual([]);
  });

  it('several newcomers with one client id end each other; one is left', async () => {
    const clients = await Promise.all(
      Array.from({ length: 6 }, () => lab.connect(identity, 'd11').catch(() => undefined)),
    );
    await waitFor(() => clients.filter((client) => client && !client.closed).length === 1);
    const last = await lab.connect(identity, 'd11');
    await waitFor(() => clients.every((client) => !client || client.closed));
    await last.publish('still there', 'x');
  });
});
