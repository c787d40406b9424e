/** Which interpreter serves which runtime name, and what is said where none does. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DeployedFunction } from '../../greengrass/core/lambda/deployed-function.js';
import { javaRelease } from '../../greengrass/core/lambda/interpreters.js';
import { runtimeCommand } from '../../greengrass/core/lambda/runtime-command.js';
import { EXECUTABLE_RUNTIME } from '../../greengrass/model/function-config.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'greengrass-command-'));
  chmodSync(folder, 0o755);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function f(runtime: string, overrides: Partial<DeployedFunction> = {}): DeployedFunction {
  return {
    arn: 'arn:aws:lambda:us-east-1:123456789012:function:f:1',
    runtime,
    handler: 'main.handler',
    execArgs: [],
    pinned: false,
    timeoutMs: 3000,
    encoding: 'json',
    environment: {},
    isolation: 'GreengrassContainer',
    uid: 64001,
    gid: 64001,
    additionalGids: [],
    accessSysfs: false,
    codeFolder: folder,
    mounts: [],
    devices: [],
    ...overrides,
  };
}

describe('runtime names', () => {
  const python = ['3.6', '3.7', '3.8', '3.9', '3.10', '3.11', '3.12', '3.13'].map((v) => `python${v}`);
  const node = ['6.10', '8.10', '10.x', '12.x', '14.x', '16.x', '18.x', '20.x', '22.x'].map(
    (v) => `nodejs${v}`,
  );

  it.each([...python, ...node])('%s is served, under another name with a warning', (runtime) => {
    const { argv, warning } = runtimeCommand(f(runtime), '/opt/runtimes');
    expect(argv.slice(-1)).toEqual(['--handler=main.handler']);
    expect(argv.some((word) => word.startsWith('/runtime/'))).toBe(true);
    const isLiteral = argv[0]?.endsWith(`/${runtime}`) === true;
    expect(warning === undefined).toBe(isLiteral);
    if (!isLiteral) expect(warning).toBe(`${runtime} is not installed; ${argv[0]} serves in its place`);
  });

  it('a name that is none is refused with those that are', () => {
    expect(() => runtimeCommand(f('ruby2.7'), '/opt')).toThrow(
      /function:f:1\. the runtime ruby2\.7 is not supported; supported are python2\.7, .*provided\[.al2|.al2023\]/,
    );
  });

  it('what is not installed is named with how to install it', () => {
    expect(() => runtimeCommand(f('java99'), '/opt')).toThrow(
      /cannot find executable java99 under any of the provided paths \[\/usr\/bin \/usr\/local\/bin\]: install Java 99 or newer, for example: apt-get install default-jre-headless/,
    );
  });
});

describe('the map of interpreters', () => {
  it('decides, and says so', () => {
    const { argv, warning } = runtimeCommand(f('python3.7'), '/opt', { 'python3.7': 'python3' });
    expect(argv[0]).toBe('/usr/bin/python3');
    expect(warning).toBe('python3.7 is mapped by runtime.interpreters; /usr/bin/python3 serves in its place');
  });

  it('may name a file of its own, without a warning where that has the name of the runtime', () => {
    const path = join(folder, 'python3.7');
    writeFileSync(path, '#!/bin/sh\n', { mode: 0o755 });
    expect(runtimeCommand(f('python3.7'), '/opt', { 'python3.7': path })).toEqual({
      argv: [path, '-u', '/runtime/python/lambda_runtime.py', '--handler=main.handler'],
      hasDoor: true,
    });
  });

  it.each(['/not/there', 'python9.9'])('an entry for %s fails, whatever else is installed', (mapped) => {
    expect(() => runtimeCommand(f('python3.11'), '/opt', { 'python3.11': mapped })).toThrow(
      `runtime.interpreters in config.json gives ${mapped} for python3.11, which is not there or not for everyone to run`,
    );
  });

  it('an interpreter that only root may reach is none', () => {
    const closed = join(folder, 'closed');
    mkdirSync(closed, { mode: 0o700 });
    writeFileSync(join(closed, 'python3.7'), '#!/bin/sh\n', { mode: 0o755 });
    const interpreters = { 'python3.7': join(closed, 'python3.7') };
    expect(() => runtimeCommand(f('python3.7'), '/opt', interpreters)).toThrow(/not for everyone to run/);
  });
});

describe('programs of the function itself', () => {
  it.each([
    [EXECUTABLE_RUNTIME, 'run.sh'],
    ['provided.al2', 'bootstrap'],
  ])('%s runs %s with its arguments', (runtime, name) => {
    writeFileSync(join(folder, name), '', { mode: 0o755 });
    const deployed = f(runtime, { handler: 'run.sh', execArgs: ['-v', 'x'] });
    expect(runtimeCommand(deployed, '/opt').argv).toEqual([`/lambda/${name}`, '-v', 'x']);
    const plain = f(runtime, { handler: 'run.sh', isolation: 'NoContainer' });
    expect(runtimeCommand(plain, '/opt').argv).toEqual([join(folder, name)]);
  });

  it('must lie in its code', () => {
    expect(() => runtimeCommand(f(EXECUTABLE_RUNTIME, { handler: '../../bin/sh' }), '/opt')).toThrow(
      /its code has no file/,
    );
  });
});

describe('Java', () => {
  it('needs the runtime that a compiler made', () => {
    const interpreters = { java17: join(folder, 'java17') };
    writeFileSync(join(folder, 'java17'), '#!/bin/sh\n', { mode: 0o755 });
    expect(() => runtimeCommand(f('java17'), folder, interpreters)).toThrow(
      /greengrass-java-runtime\.jar is missing: install a Java compiler/,
    );
    mkdirSync(join(folder, 'java'));
    writeFileSync(join(folder, 'java/greengrass-java-runtime.jar'), '');
    const { argv } = runtimeCommand(f('java17', { memoryKb: 65536 }), folder, interpreters);
    expect(argv).toContain('-XX:MaxRAM=65536k');
    expect(argv).toContain('/runtime/java/greengrass-java-runtime.jar:/lambda:/lambda/*:/lambda/lib/*');
    expect(argv.slice(-2)).toEqual([
      'com.amazonaws.greengrass.runtime.LambdaRuntime',
      '--handler=main.handler',
    ]);
  });

  it('is known by the file that every release brings along', () => {
    const home = join(folder, 'jvm');
    mkdirSync(join(home, 'bin'), { recursive: true });
    writeFileSync(join(home, 'bin/java'), '');
    expect(javaRelease(join(home, 'bin/java'))).toBeUndefined();
    writeFileSync(join(home, 'release'), 'IMPLEMENTOR="x"\nJAVA_VERSION="1.8.0_392"\n');
    expect(javaRelease(join(home, 'bin/java'))).toBe(8);
    writeFileSync(join(home, 'release'), 'JAVA_VERSION="21.0.1"\n');
    symlinkSync(join(home, 'bin/java'), join(folder, 'java'));
    expect(javaRelease(join(folder, 'java'))).toBe(21);
  });
});
