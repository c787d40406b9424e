/** What AWS's Core SDK for Python takes and ours must take too, and that our type stubs say what the code does. */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../../greengrass/lib/package-root.js';
import { run } from '../../greengrass/lib/subprocess.js';
import { describeAsRoot } from '../support/as-root.js';
import { type FunctionBench, startFunctions } from '../support/functions.js';
import { waitFor } from '../support/wait-for.js';

const SDK = join(PACKAGE_ROOT, 'greengrass/sdk/python');

const CODE = `
import io, json
import greengrasssdk
from greengrasssdk.Lambda import InvocationException, StreamingBody
from greengrasssdk.IoTDataPlane import ShadowError
from greengrasssdk.SecretsManager import SecretsManagerError
iot = greengrasssdk.client('iot-data')
secrets = greengrasssdk.client('secretsmanager')
lam = greengrasssdk.client('lambda', endpoint='localhost', port=8000)

def failure(act, kind):
    try:
        act()
    except kind as error:
        return '%s: %s' % (type(error).__name__, error)
    return 'nothing was raised'

def handler(event, context):
    iot.publish(topic='empty')
    iot.publish(topic='file', payload=io.BytesIO(b'of a file'))
    iot.update_thing_shadow(thingName='lamp', payload=io.BytesIO(b'{"state":{"reported":{"on":1}}}'))
    shadow = json.loads(iot.get_thing_shadow(thingName='lamp')['payload'])
    secret = secrets.get_secret_value(SecretId='known', VersionId='', VersionStage='')
    iot.publish(topic='out', payload=json.dumps([
        shadow['state']['reported'],
        secret['SecretString'],
        failure(lambda: secrets.get_secret_value(SecretId='known', VersionId='1'), SecretsManagerError),
        failure(lambda: secrets.get_secret_value(), ValueError),
        failure(lambda: iot.publish(payload='x'), ValueError),
        failure(lambda: iot.publish(topic='x', queueFullPolicy='Never'), ValueError),
        failure(lambda: iot.get_thing_shadow(thingName='none'), ShadowError),
        failure(lambda: lam.invoke(), ValueError),
        failure(lambda: lam.invoke(FunctionName=context.invoked_function_arn, Qualifier='9'), ValueError),
        failure(lambda: lam.invoke(FunctionName=context.invoked_function_arn, ClientContext=b'?'), ValueError),
        failure(lambda: lam.invoke(FunctionName=context.invoked_function_arn[:-2] + 'no:1'), InvocationException),
        failure(lambda: greengrasssdk.client('streammanager'), Exception),
        failure(lambda: greengrasssdk.client('s3'), Exception),
    ]))
`;

/** Compares names of functions, classes and methods, and says of parameters what the code never looks at. */
const COMPARE = `
import ast, glob, os, sys
problems = []
def public(tree):
    names = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and (not node.name.startswith('_') or node.name == '__init__'):
            names[node.name] = node
        elif isinstance(node, ast.ClassDef):
            names[node.name] = node
            for inner, found in public(node).items(): names[node.name + '.' + inner] = found
    return names
for stub in sorted(glob.glob(sys.argv[1] + '/*.pyi')):
    source = open(stub[:-1]).read()
    code, types = public(ast.parse(source)), public(ast.parse(open(stub).read()))
    for name in code:
        if name not in types: problems.append('%s lacks %s' % (os.path.basename(stub), name))
    for name, node in types.items():
        if name not in code:
            # Shapes of answers exist for the checker only.
            if not any(getattr(base, 'id', '') == 'TypedDict' for base in getattr(node, 'bases', [])):
                if not any(getattr(types.get(name.rsplit('.', 1)[0]), 'bases', [])): problems.append('%s has %s too many' % (os.path.basename(stub), name))
        elif isinstance(node, ast.FunctionDef) and code[name].args.kwarg and not code[name].args.vararg:
            for argument in node.args.kwonlyargs:
                if "'%s'" % argument.arg not in source: problems.append('%s: %s has no %s' % (os.path.basename(stub), name, argument.arg))
for source in glob.glob(sys.argv[1] + '/*.py'):
    if not os.path.exists(source + 'i'): problems.append('no stub for ' + os.path.basename(source))
print('\\n'.join(problems))
`;

describeAsRoot('our Core SDK for Python', () => {
  let bench: FunctionBench;
  beforeAll(async () => {
    bench = await startFunctions();
  });
  afterAll(() => bench.close(), 30_000);

  it("takes what AWS's takes, and refuses what it refuses", async () => {
    const f = bench.define('api', { 'main.py': CODE });
    cpSync(join(SDK, 'greengrasssdk'), join(f.codeFolder, 'greengrasssdk'), { recursive: true });
    await bench.deploy(f);
    bench.deliver(f, 't', '{}');
    const { payload } = await waitFor(() => bench.published.find(({ topic }) => topic === 'out'), {
      what: `the answer; log: ${JSON.stringify(bench.entries.slice(-3))}`,
    });
    const text = (topic: string) =>
      bench.published.find((message) => message.topic === topic)?.payload.toString('utf8');
    expect([text('empty'), text('file')]).toEqual(['', 'of a file']);
    const starting = (what: string) => expect.stringMatching(new RegExp(`^${what}`));
    expect(JSON.parse(payload.toString('utf8'))).toEqual([
      { on: 1 },
      'hush',
      'SecretsManagerError: Query by VersionId is not yet supported',
      starting('ValueError: .*SecretId'),
      starting('ValueError: .*topic'),
      starting('ValueError: .*queueFullPolicy'),
      starting('ShadowError: Request for get shadow returned error code 404'),
      starting('ValueError: .*FunctionName'),
      starting('ValueError: The derived qualifier'),
      starting('ValueError: .*base64'),
      starting('InvocationException: Failed to invoke function due to HTTP Error 404'),
      starting('ValueError: There is no stream manager'),
      starting('ValueError: Invalid client name'),
    ]);
  });
});

it('has a stub for each module, with the same names', async () => {
  const { stdout, stderr } = await run('python3', ['-c', COMPARE, join(SDK, 'greengrasssdk')]);
  expect({ stdout: stdout.trim(), stderr }).toEqual({ stdout: '', stderr: '' });
});

it('can be imported where there is no core: programs that only share code with a function', async () => {
  const { code, stdout } = await run('python3', [
    '-c',
    `import sys; sys.path.insert(0, ${JSON.stringify(SDK)}); import greengrasssdk; print(greengrasssdk.__version__)`,
  ]);
  expect({ code, stdout: stdout.trim() }).toEqual({ code: 0, stdout: '1.6.1' });
});
