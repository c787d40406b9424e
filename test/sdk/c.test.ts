/** A function in C, built against our header and library, does everything that the C SDK offers. Needs a C compiler. */
import { join } from 'node:path';
import type { DeployedFunction } from '../../greengrass/core/lambda/deployed-function.js';
import { PACKAGE_ROOT } from '../../greengrass/lib/package-root.js';
import { run } from '../../greengrass/lib/subprocess.js';
import { EXECUTABLE_RUNTIME } from '../../greengrass/model/function-config.js';
import { describeAsRoot } from '../support/as-root.js';
import { arnOf, type FunctionBench, startFunctions } from '../support/functions.js';
import { waitFor } from '../support/wait-for.js';

/** The event is `operation|argument|argument`; what came of it is published on `out` as `error status body`. */
const SOURCE = `
#include <greengrasssdk.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void answer(gg_request request, gg_error error, gg_request_result result) {
    static char body[1 << 20], text[(1 << 20) + 100];
    size_t have = 0, got = 1;
    while (got > 0) { gg_request_read(request, body + have, 1000, &got); have += got; }
    int size = snprintf(text, sizeof text, "%d %d %.*s", error, result.request_status, (int)have, body);
    gg_publish(request, "out", text, size, &result);
}

static void handler(const gg_lambda_context *context) {
    static char event[8 << 20];
    size_t have = 0, got = 1;
    while (got > 0) { gg_lambda_handler_read(event + have, 64 * 1024, &got); have += got; }
    event[have] = 0;
    if (have > 1000000) { char text[40]; sprintf(text, "%zu bytes", have); gg_lambda_handler_write_response(text, strlen(text)); return; }
    char *operation = strtok(event, "|"), *first = strtok(NULL, "|"), *second = strtok(NULL, "|");
    gg_request request; gg_request_result result = {0}; gg_error error = GGE_SUCCESS;
    gg_request_init(&request);
    if (!strcmp(operation, "context")) {
        char text[1000]; sprintf(text, "%s %s", context->function_arn, context->client_context);
        gg_publish(request, "context", text, strlen(text), &result);
    } else if (!strcmp(operation, "echo")) gg_lambda_handler_write_response(first, strlen(first));
    else if (!strcmp(operation, "fail")) gg_lambda_handler_write_error("it \\"failed\\"");
    else if (!strcmp(operation, "crash")) *(volatile int *)8 = 1;
    else if (!strcmp(operation, "log")) { gg_log(GG_LOG_WARN, "%s %d", first, 7); printf("plain\\n"); fflush(stdout); }
    else if (!strcmp(operation, "get")) { error = gg_get_thing_shadow(request, first, &result); answer(request, error, result); }
    else if (!strcmp(operation, "update")) { error = gg_update_thing_shadow(request, first, second, &result); answer(request, error, result); }
    else if (!strcmp(operation, "delete")) { error = gg_delete_thing_shadow(request, first, &result); answer(request, error, result); }
    else if (!strcmp(operation, "secret")) { error = gg_get_secret_value(request, first, NULL, second, &result); answer(request, error, result); }
    else if (!strcmp(operation, "all")) {
        gg_publish_options options; gg_publish_options_init(&options);
        gg_publish_options_set_queue_full_policy(options, GG_QUEUE_FULL_POLICY_ALL_OR_ERROR);
        error = gg_publish_with_options(request, first, "x", 1, options, &result);
        gg_publish_options_free(options); answer(request, error, result);
    } else if (!strcmp(operation, "invoke")) {
        gg_invoke_options options = {.function_arn = first, .qualifier = "1", .type = GG_INVOKE_REQUEST_RESPONSE,
            .customer_context = "eyJjdXN0b20iOnsiayI6MX19", .payload = second, .payload_size = strlen(second)};
        for (char *c = second; *c; c++) if (*c == '/') *c = '|';
        error = gg_invoke(request, &options, &result); answer(request, error, result);
    } else if (!strcmp(operation, "large")) {
        static char large[2000000]; memset(large, 'x', sizeof large);
        gg_invoke_options options = {.function_arn = first, .type = GG_INVOKE_REQUEST_RESPONSE, .payload = large, .payload_size = sizeof large};
        error = gg_invoke(request, &options, &result); answer(request, error, result);
    } else if (!strcmp(operation, "bad")) { error = gg_publish(request, NULL, "", 0, &result); answer(request, error, result); }
    gg_request_close(request);
}

int main(int argc, char **argv) {
    gg_log_level level = GG_LOG_INFO;
    if (gg_log(level, "too early") != GGE_INVALID_STATE || gg_global_init(0) != GGE_SUCCESS) return 3;
    if (argc > 1 && !strcmp(argv[1], "async")) {
        gg_runtime_start(handler, GG_RT_OPT_ASYNC);
        for (;;) pause();
    }
    gg_error end = gg_runtime_start(handler, 0);
    gg_log(level, "ended with %d", end);
    return end == GGE_TERMINATE ? 0 : 4;
}
`;

const hasCompiler = (await run('cc', ['--version']).catch(() => undefined))?.code === 0;
if (!hasCompiler) process.stdout.write('C SDK: skipped, there is no C compiler\n');

(hasCompiler ? describeAsRoot : describe.skip)('an executable with the C SDK', () => {
  let bench: FunctionBench;
  let main: DeployedFunction;
  let peer: DeployedFunction;

  beforeAll(async () => {
    const built = await run(process.execPath, [join(PACKAGE_ROOT, 'greengrass/dev/native.mjs')]);
    expect(built).toMatchObject({ code: 0 });
    bench = await startFunctions();
    const overrides = { runtime: EXECUTABLE_RUNTIME, handler: 'function', encoding: 'binary' } as const;
    main = bench.define('main', { 'function.c': SOURCE }, { ...overrides, pinned: true });
    peer = bench.define('peer', { 'function.c': SOURCE }, { ...overrides, execArgs: ['async'] });
    const library = join(PACKAGE_ROOT, 'greengrass/runtimes/executable');
    for (const { codeFolder } of [main, peer]) {
      const { code, stderr } = await run('cc', [
        ...['-O1', `-I${join(PACKAGE_ROOT, 'greengrass/sdk/c/include')}`, join(codeFolder, 'function.c')],
        ...['-o', join(codeFolder, 'function'), `-L${library}`, '-laws-greengrass-core-sdk-c'],
        '-Wl,--enable-new-dtags,-rpath,/not/there',
      ]);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    }
    await bench.deploy(main, peer);
  });
  afterAll(() => bench?.close(), 30_000);

  async function ask(event: string, topic = 'out'): Promise<string> {
    const before = bench.published.length;
    bench.deliver(main, 'in/topic', event);
    const { payload } = await waitFor(() => bench.published.slice(before).find((p) => p.topic === topic), {
      what: `the answer to ${event}; log: ${JSON.stringify(bench.entries.slice(-5))}`,
    });
    return payload.toString('utf8');
  }

  it('gets event and context', async () => {
    expect(await ask('context', 'context')).toBe(`${main.arn} {"custom":{"subject":"in/topic"}}`);
  });

  it('invokes another function, which answers, fails, crashes', async () => {
    expect(await ask(`invoke|${peer.arn}|echo/hällo`)).toBe('0 0 hällo');
    expect(await ask(`invoke|${peer.arn.slice(0, -2)}|echo/by qualifier`)).toBe('0 0 by qualifier');
    expect(await ask(`invoke|${peer.arn}|fail/`)).toBe('0 1 {"errorMessage":"it \\"failed\\""}');
    expect(await ask(`invoke|${peer.arn}|crash/`)).toMatch(/^0 2 .*WorkerExited/);
    expect(await ask(`invoke|${arnOf('nobody')}|echo/nobody`)).toBe('0 3 ');
  });

  it('carries two megabytes', async () => {
    expect(await ask(`large|${peer.arn}`)).toBe('0 0 2000000 bytes');
  });

  it('updates, reads and deletes a shadow, and sees a refusal', async () => {
    expect(await ask('get|lamp')).toMatch(/^0 1 .*"code":404/);
    expect(await ask('update|lamp|{"state":{"reported":{"on":true}}}')).toMatch(/^0 0 .*"version":1/);
    expect(await ask('get|lamp')).toMatch(/^0 0 .*"on":true/);
    expect(await ask('delete|lamp')).toMatch(/^0 0 /);
  });

  it('reads a secret, and sees that one is not there', async () => {
    expect(await ask('secret|known|AWSCURRENT')).toMatch(/^0 0 .*"SecretString":"hush"/);
    expect(await ask('secret|unknown|')).toMatch(/^0 1 .*"Status":404/);
  });

  it('learns that a target is full, and that a parameter is none', async () => {
    bench.refusePublish = true;
    expect(
      await ask('all|some/topic').finally(() => {
        bench.refusePublish = false;
      }),
    ).toBe('0 4 ');
    expect(await ask('bad')).toBe('2 0 ');
  });

  it('logs with a level', async () => {
    bench.deliver(main, 't', 'log|careful');
    await waitFor(() =>
      bench.entries.some(({ level, message }) => level === 'WARN' && message === 'careful 7'),
    );
    await waitFor(() => bench.entries.some(({ level, message }) => level === 'INFO' && message === 'plain'));
  });

  it('ends in time with SIGTERM, in both kinds of runtime', async () => {
    await ask(`invoke|${peer.arn}|echo/again`);
    const before = Date.now();
    await bench.deploy();
    expect(Date.now() - before).toBeLessThan(2500);
    const ends = bench.lines.filter(({ msg }) => msg === 'Worker stopped.');
    expect(ends.map(({ code }) => code)).toEqual([0, 0]);
    expect(bench.entries.some(({ message }) => message === 'ended with 5')).toBe(true);
  });
});
