/** The completion scripts, in the shells themselves where they are installed. */
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bashScript } from '../../greengrass/cli/completion/bash.js';
import { fishScript } from '../../greengrass/cli/completion/fish.js';
import { type KnownVerb, vocabulary } from '../../greengrass/cli/completion/vocabulary.js';
import { zshScript } from '../../greengrass/cli/completion/zsh.js';
import { ownVerbs } from '../../greengrass/cli/own-verbs.js';
import { run, runGg } from './gg.js';

const verbs: readonly KnownVerb[] = vocabulary(ownVerbs());
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gg-completion-'));
  await writeFile(join(folder, 'ready.json'), '');
  await writeFile(join(folder, 'gg.bash'), (await runGg({}, 'completion', 'bash')).out);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** What bash offers for the last of the words, after it sourced what gg printed. */
async function offered(...words: string[]): Promise<string[]> {
  const script = `
    cd "$1"; source ./gg.bash; shift
    COMP_WORDS=(gg "$@"); COMP_CWORD=$#
    _gg
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { code, out, err } = await run('bash', ['--norc', '-uc', script, 'bash', folder, ...words], {});
  expect({ code, err }).toEqual({ code: 0, err: '' });
  return out.split('\n').filter((line) => line !== '');
}

describe('bash', () => {
  it('completes verbs, those of the API and those of gg', async () => {
    expect(await offered('create-g')).toEqual([
      'create-group',
      'create-group-certificate-authority',
      'create-group-version',
    ]);
    expect(await offered('de')).toEqual(expect.arrayContaining(['deploy', 'device', 'delete-group']));
    expect(await offered('lambda', '')).toEqual(['publish']);
    expect((await offered('')).length).toBeGreaterThanOrEqual(97);
  });

  it('completes the options of the verb', async () => {
    expect(await offered('create-deployment', '--de')).toEqual(['--deployment-id', '--deployment-type']);
    expect(await offered('reset-deployments', '--no-f')).toEqual(['--no-force']);
    expect(await offered('list-groups', '--max-i')).toEqual(['--max-items']);
    expect(await offered('get-group', '--max-i')).toEqual([]);
    expect(await offered('device', 'create', '--mq')).toEqual(['--mqtt-port']);
    expect(await offered('deploy', '--w')).toEqual(['--wait']);
  });

  it('completes values that are known, and files for the others', async () => {
    expect(await offered('list-groups', '--output', 't')).toEqual(['table', 'text']);
    expect(await offered('create-deployment', '--deployment-type', 'Re')).toEqual([
      'Redeployment',
      'ResetDeployment',
    ]);
    expect(await offered('list-groups', '--ready-file', 'rea')).toEqual(['ready.json']);
    expect(await offered('no-such-verb', '--o')).toEqual([]);
  });
});

describe('zsh and fish', () => {
  const scripts = { zsh: zshScript(verbs), fish: fishScript(verbs), bash: bashScript(verbs) };

  it.each(['zsh', 'fish', 'bash'] as const)('%s has a script that its shell can read', async (shell) => {
    const script = scripts[shell];
    expect(await runGg({}, 'completion', shell)).toEqual({ code: 0, out: script, err: '' });
    expect(script).toContain('create-function-definition-version');
    expect(script).toContain('deployment-type');
    const [program] = ['/bin', '/usr/bin'].map((place) => join(place, shell)).filter(existsSync);
    if (program === undefined) return;
    const file = join(folder, `script.${shell}`);
    await writeFile(file, script);
    expect(await run(program, ['-n', file], {})).toEqual({ code: 0, out: '', err: '' });
  });

  it('no other shell is known', async () => {
    const { code, err } = await runGg({}, 'completion', 'csh');
    expect(code).toBe(2);
    expect(err).toMatch(/csh/);
  });
});
