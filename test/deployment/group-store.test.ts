/** The group on disk: the old one or the new one, never half of either. */
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GroupStore } from '../../greengrass/core/deployment/group-store.js';
import { EMPTY_GROUP } from '../../greengrass/model/group.js';

const MARK = { deploymentId: 'd1', groupId: 'g' };

let root: string;
let folder: string;
let store: GroupStore;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'greengrass-group-'));
  folder = join(root, 'deployment', 'group');
  store = new GroupStore(root);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** With spaces of its own: the exact bytes are kept. */
function documentOf(version: string): Buffer {
  return Buffer.from(`{ "Version":  "${version}" }\n`);
}

describe('the group store', () => {
  it('has the empty group and no deployment before the first one', () => {
    expect(store.load()).toEqual(EMPTY_GROUP);
    expect(store.deployed()).toBeUndefined();
    expect(existsSync(folder)).toBe(false);
  });

  it('keeps the exact bytes of a document, for its owner alone, and the one before beside it', () => {
    store.commit(documentOf('1'), MARK);
    store.commit(documentOf('2'), { ...MARK, deploymentId: 'd2' });
    const again = new GroupStore(root);
    expect(again.load().Version).toBe('2');
    expect(again.deployed()).toEqual({ deploymentId: 'd2', groupId: 'g' });
    expect(readFileSync(join(folder, 'group.json'))).toEqual(documentOf('2'));
    expect(readFileSync(join(folder, 'group.previous.json'))).toEqual(documentOf('1'));
    expect(readdirSync(folder).sort()).toEqual(['deployment.json', 'group.json', 'group.previous.json']);
    for (const name of readdirSync(folder)) expect(lstatSync(join(folder, name)).mode & 0o777).toBe(0o600);
  });

  it('takes {} as the empty group, as the guide repairs a core with it', () => {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'group.json'), '{}');
    expect(store.load()).toEqual(EMPTY_GROUP);
  });

  it.each(['', '{', 'null', '[]', '{"Devices": 1}', '{"Cores":[{"thingArn":1}]}'])(
    'says what to do where the file holds %j',
    (text) => {
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'group.json'), text);
      expect(() => store.load()).toThrow(
        /^unable to create server due to: failed to load group: [\s\S]*group\.json[\s\S]*Replace its content by {} and deploy again\.$/,
      );
    },
  );

  it('goes back to the empty group, and remembers which deployment asked for it', () => {
    store.commit(documentOf('1'), MARK);
    store.commit(documentOf('2'), MARK);
    store.reset({ ...MARK, deploymentId: 'reset' });
    expect(store.load()).toEqual(EMPTY_GROUP);
    expect(store.deployed()?.deploymentId).toBe('reset');
    expect(readdirSync(folder).sort()).toEqual(['deployment.json', 'group.json']);
  });

  it('has the old group still where a commit fails at its last step', () => {
    store.commit(documentOf('1'), MARK);
    rmSync(join(folder, 'deployment.json'));
    mkdirSync(join(folder, 'deployment.json', 'in-the-way'), { recursive: true });
    expect(() => store.commit(documentOf('2'), MARK)).toThrow();
    expect(store.load().Version).toBe('1');
  });

  it('has no group still where the very first commit fails at its last step', () => {
    mkdirSync(join(folder, 'deployment.json', 'in-the-way'), { recursive: true });
    expect(() => store.commit(documentOf('1'), MARK)).toThrow();
    expect(store.load()).toEqual(EMPTY_GROUP);
  });
});
