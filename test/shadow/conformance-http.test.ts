/** The conformance table against the cloud's shadows over HTTP, with AWS's own client. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  DeleteThingShadowCommand,
  GetThingShadowCommand,
  IoTDataPlaneClient,
  UpdateThingShadowCommand,
} from '@aws-sdk/client-iot-data-plane';
import { type RunningCloud, startCloud } from '../../greengrass/dev/programs.js';
import { answersFor, payloadOf, type Request, TABLE, withoutTimes } from './conformance-table.js';

let folder: string;
let cloud: RunningCloud;
let client: IoTDataPlaneClient;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'greengrass-shadow-http-'));
  cloud = await startCloud(folder);
  const { api, region, accessKeyId, secretAccessKey } = cloud.info;
  const credentials = { accessKeyId: accessKeyId ?? 'x', secretAccessKey: secretAccessKey ?? 'x' };
  client = new IoTDataPlaneClient({ endpoint: api, region, credentials });
});
afterAll(async () => {
  client.destroy();
  await cloud.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function send(thingName: string, shadowName: string | undefined, request: Request): Promise<unknown> {
  const names = shadowName === undefined ? { thingName } : { thingName, shadowName };
  const payload = Buffer.from(payloadOf(request));
  const run = {
    get: () => client.send(new GetThingShadowCommand(names)),
    update: () => client.send(new UpdateThingShadowCommand({ ...names, payload })),
    delete: () => client.send(new DeleteThingShadowCommand(names)),
  }[request.operation];
  try {
    const answer = await run();
    return withoutTimes(JSON.parse(Buffer.from(answer.payload ?? []).toString('utf8')));
  } catch (error) {
    const { $metadata, message } = error as { $metadata?: { httpStatusCode?: number }; message: string };
    return { code: $metadata?.httpStatusCode, message };
  }
}

const rows = TABLE.filter(({ mqttOnly }) => !mqttOnly).map((row, index) => [row.rule, row, index] as const);

describe.each([undefined, 'config'])('over HTTP, shadow name %s', (shadowName) => {
  it.each(rows)('%s', async (_rule, row, index) => {
    const thingName = `h${index}`;
    for (const request of row.given) await send(thingName, shadowName, request);
    const expected = answersFor(row, thingName, shadowName)[0]?.body as Record<string, unknown>;
    const answer = await send(thingName, shadowName, row.request);
    // A refusal over HTTP is status and text; AWS's clients drop the rest.
    if (expected.code === undefined) expect(answer).toEqual(expected);
    else expect(answer).toEqual({ code: expected.code, message: expected.message });
  });
});
