/** Functions in Java on the Core SDK's API, compiled by the test against our packages. Needs a JDK. */
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../../greengrass/lib/package-root.js';
import { run } from '../../greengrass/lib/subprocess.js';
import { describeAsRoot } from '../support/as-root.js';
import { type FunctionBench, startFunctions } from '../support/functions.js';
import { waitFor } from '../support/wait-for.js';
import { describeSdk } from './suite.js';

const MAIN = `
package example;

import com.amazonaws.greengrass.javasdk.*;
import com.amazonaws.greengrass.javasdk.model.*;
import com.amazonaws.services.lambda.runtime.Context;
import java.io.*;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.*;

public class Main {
    private final IotDataClient iot = GreengrassClientBuilder.iotDataClient().build();
    private final LambdaClient lambda = GreengrassClientBuilder.lambdaClient().build();
    private final SecretsManagerClient secrets = new SecretsManagerClient();

    private static ByteBuffer bytes(String text) { return ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8)); }
    private static String text(ByteBuffer buffer) { return StandardCharsets.UTF_8.decode(buffer).toString(); }
    private static Object parse(ByteBuffer buffer) {
        return buffer == null || buffer.remaining() == 0 ? null : com.amazonaws.greengrass.runtime.Json.parse(text(buffer));
    }
    private static Map<String, Object> one(String name, Object value) {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put(name, value);
        return map;
    }

    public Object handle(Map<String, Object> event, Context context) throws Exception {
        if ("return".equals(event.get("do"))) return event.get("value");
        if ("returnCustom".equals(event.get("do"))) return context.getClientContext().getCustom();
        if ("fail".equals(event.get("do"))) throw new IllegalStateException((String) event.get("text"));
        Map<String, Object> answer;
        try {
            answer = act(event, context);
        } catch (Exception error) {
            answer = one("error", error.toString());
        }
        answer.put("token", event.get("token"));
        iot.publish(new PublishRequest().withTopic("out").withPayload(bytes(com.amazonaws.greengrass.runtime.Json.write(answer))));
        return null;
    }

    private Map<String, Object> act(Map<String, Object> event, Context context) throws Exception {
        String thing = (String) event.get("thing");
        String payload = event.get("payload") instanceof String ? (String) event.get("payload") : null;
        String task = (String) event.get("do");
        switch (task == null ? "" : task) {
            case "context": {
                Map<String, Object> answer = one("event", event);
                answer.put("arn", context.getInvokedFunctionArn());
                answer.put("name", context.getFunctionName());
                answer.put("version", context.getFunctionVersion());
                answer.put("requestId", context.getAwsRequestId());
                answer.put("subject", context.getClientContext().getCustom().get("subject"));
                return answer;
            }
            case "publish":
                iot.publish(new PublishRequest().withTopic((String) event.get("topic")).withPayload(bytes(payload)));
                break;
            case "publishAll":
                iot.publish(new PublishRequest().withTopic((String) event.get("topic")).withPayload(bytes(payload))
                    .withQueueFullPolicy(QueueFullPolicy.AllOrException));
                break;
            case "updateShadow":
                return one("result", parse(iot.updateThingShadow(
                    new UpdateThingShadowRequest().withThingName(thing).withPayload(bytes(payload))).getPayload()));
            case "getShadow":
                return one("result", parse(iot.getThingShadow(new GetThingShadowRequest().withThingName(thing)).getPayload()));
            case "deleteShadow":
                return one("result", parse(iot.deleteThingShadow(new DeleteThingShadowRequest().withThingName(thing)).getPayload()));
            case "invoke":
            case "invokeEvent":
            case "invokeBytes": {
                InvokeRequest request = new InvokeRequest().withFunctionArn((String) event.get("target"))
                    .withInvocationType("invokeEvent".equals(task) ? InvocationType.Event : InvocationType.RequestResponse);
                if (payload != null) request.setPayload(payload);
                if (event.get("base64") != null)
                    request.setPayload(ByteBuffer.wrap(Base64.getDecoder().decode((String) event.get("base64"))));
                if (event.get("custom") != null) {
                    String custom = com.amazonaws.greengrass.runtime.Json.write(one("custom", event.get("custom")));
                    request.setClientContext(Base64.getEncoder().encodeToString(custom.getBytes(StandardCharsets.UTF_8)));
                }
                InvokeResponse response = lambda.invoke(request);
                if (task.equals("invokeBytes"))
                    return one("base64", Base64.getEncoder().encodeToString(response.getPayload().array()));
                if (task.equals("invokeEvent")) break;
                Map<String, Object> answer = one("result", parse(response.getPayload()));
                answer.put("functionError", response.getFunctionErr());
                return answer;
            }
            case "secret":
                return one("result", one("SecretString",
                    secrets.getSecretValue(new GetSecretValueRequest().withSecretId((String) event.get("id"))).getSecretString()));
            case "log":
                context.getLogger().log((String) event.get("text"));
                new com.amazonaws.greengrass.common.GreengrassLogger().log(
                    ((String) event.get("text")).getBytes("UTF-8"), com.amazonaws.greengrass.common.LogLevel.WARN);
                System.err.println(event.get("text"));
                break;
            default:
        }
        return new LinkedHashMap<>();
    }

    public void reverse(InputStream in, OutputStream out) throws IOException {
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        for (int next = in.read(); next >= 0; next = in.read()) all.write(next);
        byte[] bytes = all.toByteArray();
        for (int i = bytes.length - 1; i >= 0; i--) out.write(bytes[i]);
    }
}
`;

/** Kinds of handlers; no SDK is needed for them. */
const KINDS = `
package example;

import com.amazonaws.services.lambda.runtime.*;
import java.io.*;
import java.util.*;

public class Kinds {
    public enum Colour { RED, GREEN }
    public static class Point {
        private int x; private List<Double> parts; public Colour colour; private boolean seen;
        public int getX() { return x; }
        public void setX(int x) { this.x = x; }
        public List<Double> getParts() { return parts; }
        public void setParts(List<Double> parts) { this.parts = parts; }
        public boolean isSeen() { return seen; }
        public void setSeen(boolean seen) { this.seen = seen; }
    }
    public static class Typed implements RequestHandler<Point, Point> {
        public Point handleRequest(Point point, Context context) {
            point.setX(point.getX() + 1);
            point.setSeen(context.getMemoryLimitInMB() > 0);
            return point;
        }
    }
    public static class Streams implements RequestStreamHandler {
        public void handleRequest(InputStream in, OutputStream out, Context context) throws IOException {
            out.write(("\\"" + new Scanner(in).useDelimiter("\\\\A").next().length() + " letters\\"").getBytes());
        }
    }
    public static String fixed() { return "static"; }
    public int[] many(String text, Context context) { return new int[] {text.length(), 2}; }
    public int[] many(String text) { return null; }
    public void exit() { System.exit(7); }
    public void hog() { List<byte[]> all = new ArrayList<>(); while (true) all.add(new byte[1 << 20]); }
}
`;

/** Invokes the event's target and publishes what came back. */
const CALLER = `
import base64, json
from greengrass_common.env_vars import ROUTER_FUNCTION_ARN
from greengrass_ipc_python_sdk.ipc_client import IPCClient
ipc = IPCClient()
def encoded(value):
    return base64.b64encode(json.dumps(value).encode())
def handler(event, context):
    id = ipc.post_work(event['target'], json.dumps(event['payload']).encode(), encoded({}))
    result = ipc.get_work_result(event['target'], id)
    answer = {'error': result.func_err, 'payload': result.payload.decode()}
    ipc.post_work(ROUTER_FUNCTION_ARN, json.dumps(answer).encode(), encoded({'custom': {'subject': 'out'}}), 'Event')
`;

const hasJdk = (await run('javac', ['-version']).catch(() => undefined))?.code === 0;
if (!hasJdk) process.stdout.write('Java: skipped, there is no JDK\n');

const folder = mkdtempSync(join(tmpdir(), 'greengrass-java-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const sdk = join(PACKAGE_ROOT, 'greengrass/sdk/java/GreengrassJavaSDK.jar');

/** Sources → `<folder>/classes`, as Java 8 classes. */
async function compile(sources: Readonly<Record<string, string>>): Promise<void> {
  const built = await run(process.execPath, [join(PACKAGE_ROOT, 'greengrass/dev/native.mjs')]);
  if (built.code !== 0) throw new Error(built.stdout + built.stderr);
  for (const [name, text] of Object.entries(sources)) writeFileSync(join(folder, name), text);
  const runtime = join(PACKAGE_ROOT, 'greengrass/runtimes/java/greengrass-java-runtime.jar');
  const files = Object.keys(sources).map((name) => join(folder, name));
  const { code, stderr } = await run('javac', [
    ...['--release', '8', '-Xlint:-options', '-cp', `${sdk}:${runtime}`, '-d', join(folder, 'classes')],
    ...files,
  ]);
  if (code !== 0) throw new Error(stderr);
}
if (hasJdk) await compile({ 'Main.java': MAIN, 'Kinds.java': KINDS });

function install(codeFolder: string): void {
  cpSync(join(folder, 'classes'), codeFolder, { recursive: true });
  mkdirSync(join(codeFolder, 'lib'), { recursive: true });
  cpSync(sdk, join(codeFolder, 'lib/GreengrassJavaSDK.jar'));
}

describeSdk(
  {
    name: 'our Core SDK for Java',
    runtime: 'java8',
    handler: 'example.Main::handle',
    binaryHandler: 'example.Main::reverse',
    files: {},
    install,
    shadowErrors: 'returned',
  },
  hasJdk ? describeAsRoot : describe.skip,
);

/** Amazon's own jar is in no registry: who has it names it, and the same suite runs on it. */
const amazons = process.env.AMAZON_JAVA_SDK;
describeSdk(
  {
    name: "Amazon's Core SDK for Java (AMAZON_JAVA_SDK)",
    runtime: 'java8',
    handler: 'example.Main::handle',
    binaryHandler: 'example.Main::reverse',
    files: {},
    install: (codeFolder) => {
      install(codeFolder);
      // Ours stays for the interfaces of aws-lambda-java-core; the first on the class path wins.
      cpSync(amazons ?? '', join(codeFolder, 'GreengrassJavaSDK.jar'));
    },
    shadowErrors: 'returned',
  },
  hasJdk && amazons ? describeAsRoot : describe.skip,
);

(hasJdk ? describeAsRoot : describe.skip)('a function in Java', () => {
  let bench: FunctionBench;
  beforeAll(async () => {
    bench = await startFunctions();
  });
  afterAll(() => bench?.close(), 30_000);

  async function invoke(handler: string, payload: unknown): Promise<{ error: string; payload: string }> {
    const caller = bench.define('caller', { 'main.py': CALLER }, { timeoutMs: 20_000 });
    const f = bench.define('kinds', {}, { runtime: 'java17', handler: `example.${handler}` });
    install(f.codeFolder);
    await bench.deploy(caller, f);
    const before = bench.published.length;
    bench.deliver(caller, 't', JSON.stringify({ target: f.arn, payload }));
    const { payload: text } = await waitFor(() => bench.published[before], {
      timeoutMs: 20_000,
      what: `an answer; log: ${JSON.stringify(bench.entries.slice(-5))}`,
    });
    return JSON.parse(text.toString('utf8')) as { error: string; payload: string };
  }

  it.each<[string, unknown, unknown]>([
    [
      'Kinds$Typed',
      { x: 1, parts: [1, 2.5], colour: 'GREEN', unknown: {} },
      { colour: 'GREEN', parts: [1, 2.5], seen: true, x: 2 },
    ],
    ['Kinds$Streams', { a: 'b' }, '10 letters'],
    ['Kinds::fixed', {}, 'static'],
    ['Kinds::many', 'hello', [5, 2]],
  ])('%s', async (handler, payload, expected) => {
    const { error, payload: text } = await invoke(handler, payload);
    expect({ error, result: JSON.parse(text) }).toEqual({ error: '', result: expected });
  });

  it('an event of the wrong kind is the error of the call', async () => {
    const { error, payload } = await invoke('Kinds$Typed', 'text');
    expect(error).toBe('Handled');
    expect(JSON.parse(payload)).toMatchObject({
      errorMessage: 'the event has a single value where a example.Kinds$Point is expected',
      errorType: 'java.lang.IllegalArgumentException',
      stackTrace: expect.any(Array),
    });
  });

  it.each([
    ['Kinds::exit', 'exited with code 7'],
    ['Kinds::hog', 'exited with code'],
    ['Kinds::none', 'has no public method none'],
    ['Nothing::handle', 'ClassNotFoundException'],
  ])('%s ends, and says why', async (handler, reason) => {
    const { error, payload } = await invoke(handler, {});
    expect(error).toBe('Unhandled');
    const log = bench.entries.map(({ message }) => message).join('\n');
    expect(payload + log).toContain(reason);
  });
});
