/**
 * What a function written on the Core SDK can rely on: one suite, run with every SDK and language. Each language brings the
 * same function: it does what the event's `do` says and publishes the outcome on `out`.
 */
import type { DeployedFunction } from '../../greengrass/core/lambda/deployed-function.js';
import { answersFor, payloadOf, type Request, TABLE, withoutTimes } from '../shadow/conformance-table.js';
import { arnOf, type FunctionBench, startFunctions } from '../support/functions.js';
import { waitFor } from '../support/wait-for.js';

export interface SdkLanguage {
  readonly name: string;
  readonly runtime: string;
  readonly handler: string;
  /** Handler of the binary function: gives its bytes back in reverse. */
  readonly binaryHandler: string;
  readonly files: Readonly<Record<string, string>>;
  /** Puts the SDK beside the code. */
  readonly install: (codeFolder: string) => void;
  /** What a shadow refusal looks like: an exception, or the body as it came. */
  readonly shadowErrors: 'raised' | 'returned';
  /** Our runtime speaks HTTP, as V1's do. */
  readonly withoutFrames?: boolean;
}

export function describeSdk(language: SdkLanguage, describeIt: typeof describe): void {
  describeIt(`a function with ${language.name}`, () => {
    let bench: FunctionBench;
    let main: DeployedFunction;
    let peer: DeployedFunction;
    let binary: DeployedFunction;

    beforeAll(async () => {
      bench = await startFunctions({ withoutFrames: language.withoutFrames ?? false });
      const { runtime, handler, binaryHandler, files, install } = language;
      main = bench.define('main', files, { runtime, handler, pinned: true });
      peer = bench.define('peer', files, { runtime, handler });
      binary = bench.define('binary', files, { runtime, handler: binaryHandler, encoding: 'binary' });
      for (const { codeFolder } of [main, peer, binary]) install(codeFolder);
      await bench.deploy(main, peer, binary);
    });
    afterAll(() => bench.close(), 60_000);

    let token = 0;
    /** Sends the event and waits for what the function publishes about it. */
    const ask = async (event: object): Promise<Record<string, unknown>> => {
      token += 1;
      const mark = `token-${token}`;
      bench.deliver(main, 'in/topic', JSON.stringify({ ...event, token: mark }));
      const { payload } = await waitFor(
        () => bench.published.find((p) => p.topic === 'out' && p.payload.includes(`"${mark}"`)),
        { what: `the answer to ${JSON.stringify(event)}; log: ${JSON.stringify(bench.entries.slice(-8))}` },
      );
      return JSON.parse(payload.toString('utf8')) as Record<string, unknown>;
    };

    it('gets event and context', async () => {
      const answer = await ask({ do: 'context', nested: { a: [1, 'ü'] } });
      expect(answer.event).toMatchObject({ nested: { a: [1, 'ü'] } });
      expect(answer).toMatchObject({ arn: main.arn, name: 'main', version: '1', subject: 'in/topic' });
      expect(answer.requestId).toMatch(/^[0-9a-f-]{36}$/);
    });

    it('publishes as itself, text and bytes', async () => {
      await ask({ do: 'publish', topic: 'some/topic', payload: 'häll∅' });
      const message = bench.published.find(({ topic }) => topic === 'some/topic');
      expect(message?.source).toBe(main.arn);
      expect(message?.payload.toString('utf8')).toBe('häll∅');
    });

    it('learns that a target was full where it asked for all or an error', async () => {
      bench.refusePublish = true;
      const { error } = await ask({ do: 'publishAll', topic: 'full', payload: 'x' }).finally(() => {
        bench.refusePublish = false;
      });
      expect(String(error)).toMatch(/429|failed/i);
    });

    it('updates, reads and deletes a shadow', async () => {
      const thing = 'lamp';
      const update = await ask({ do: 'updateShadow', thing, payload: '{"state":{"reported":{"on":true}}}' });
      expect(update.result).toMatchObject({ state: { reported: { on: true } }, version: 1 });
      const get = await ask({ do: 'getShadow', thing });
      expect(get.result).toMatchObject({ state: { reported: { on: true } }, version: 1 });
      expect((await ask({ do: 'deleteShadow', thing })).result).toMatchObject({ version: 1 });
    });

    it('sees that a shadow is not there', async () => {
      const answer = await ask({ do: 'getShadow', thing: 'nobody' });
      if (language.shadowErrors === 'raised') expect(String(answer.error)).toMatch(/404.*No shadow exists/);
      else expect(answer.result).toMatchObject({ code: 404 });
    });

    const rows = TABLE.filter(({ mqttOnly }) => !mqttOnly).map(
      (row, index) => [row.rule, row, index] as const,
    );
    it.each(rows)('of shadows: %s', async (_rule, row, index) => {
      const thing = `row-${index}`;
      const run = ({ operation, ...request }: Request) => {
        const payload = payloadOf({ operation, ...request });
        return ask({ do: `${operation}Shadow`, thing, ...(operation === 'update' ? { payload } : {}) });
      };
      for (const request of row.given) await run(request);
      const { result, error } = await run(row.request);
      const body = answersFor(row, thing)[0]?.body as { code?: number };
      if (body.code !== undefined && language.shadowErrors === 'raised') {
        expect(String(error)).toContain(String(body.code));
      } else expect(withoutTimes(result)).toEqual(body);
    });

    it('invokes another function and gets its result', async () => {
      const answer = await ask({
        do: 'invoke',
        target: peer.arn,
        payload: '{"do":"return","value":{"x":1}}',
      });
      expect(answer).toMatchObject({ result: { x: 1 }, functionError: '' });
    });

    it('passes a client context on to the function it invokes', async () => {
      const answer = await ask({
        do: 'invoke',
        target: peer.arn,
        payload: '{"do":"returnCustom"}',
        custom: { k: 'v' },
      });
      expect(answer.result).toEqual({ k: 'v' });
    });

    it('gets the error of a function that fails as Handled', async () => {
      const answer = await ask({ do: 'invoke', target: peer.arn, payload: '{"do":"fail","text":"no way"}' });
      expect(answer).toMatchObject({ functionError: 'Handled', result: { errorMessage: 'no way' } });
    });

    it('cannot invoke a function that is not in the group', async () => {
      const answer = await ask({ do: 'invoke', target: arnOf('stranger'), payload: '{}' });
      expect(String(answer.error)).toMatch(/404/);
    });

    it('invokes without waiting', async () => {
      await ask({
        do: 'invokeEvent',
        target: peer.arn,
        payload: '{"do":"publish","topic":"from/peer","payload":"hi"}',
      });
      await waitFor(() =>
        bench.published.find(({ topic, source }) => topic === 'from/peer' && source === peer.arn),
      );
    });

    it('gets a secret, or the reason why not', async () => {
      expect(await ask({ do: 'secret', id: 'known' })).toMatchObject({ result: { SecretString: 'hush' } });
      expect(String((await ask({ do: 'secret', id: 'unknown' })).error)).toMatch(/404|no such secret/);
    });

    it('survives an empty payload and one that is no JSON', async () => {
      bench.deliver(main, 'in/topic', '');
      bench.deliver(main, 'in/topic', '{not json');
      expect(await ask({ do: 'context' })).toMatchObject({ name: 'main' });
    });

    it('writes its log with levels', async () => {
      await ask({ do: 'log', text: 'a line of mine' });
      const mine = (level: string) =>
        bench.entries.find(
          (e) => e.functionArn === main.arn && e.level === level && e.message.includes('a line of mine'),
        );
      await waitFor(() => mine('INFO') && mine('WARN') && mine('ERROR'));
    });

    it('takes and gives bytes where its encoding is binary', async () => {
      const bytes = Buffer.from([0, 255, 128, 10, 13, 200]);
      const sent = bytes.toString('base64');
      const answer = await ask({ do: 'invokeBytes', target: binary.arn, base64: sent });
      expect(Buffer.from(String(answer.base64), 'base64')).toEqual(Buffer.from([...bytes].reverse()));
    });
  });
}
