/** The type stubs of our SDK for Python say what is there: every public class and method, and no other. */
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../../greengrass/lib/package-root.js';
import { run } from '../../greengrass/lib/subprocess.js';

const NAMES = `
import ast, json, os, sys
folder = sys.argv[1]
def names(path):
    found = set()
    for node in ast.parse(open(path).read()).body:
        if isinstance(node, ast.FunctionDef): found.add(node.name)
        if isinstance(node, ast.ClassDef):
            # Shapes of answers are in the stubs only.
            if any(getattr(base, 'id', '') == 'TypedDict' for base in node.bases): continue
            found.add(node.name)
            found.update(node.name + '.' + each.name for each in node.body if isinstance(each, ast.FunctionDef))
    return sorted(name for name in found if '._' not in name and not name.startswith('_'))
modules = [name[:-3] for name in sorted(os.listdir(folder)) if name.endswith('.py')]
print(json.dumps([[m, names(os.path.join(folder, m + '.py')), names(os.path.join(folder, m + '.pyi'))] for m in modules]))
`;

describe('the types of our SDK for Python', () => {
  it('name what the modules have', async () => {
    const folder = join(PACKAGE_ROOT, 'greengrass/sdk/python/greengrasssdk');
    const { stdout, stderr } = await run('/usr/bin/python3', ['-c', NAMES, folder]);
    if (stdout === '') throw new Error(stderr);
    const modules = JSON.parse(stdout) as Array<[string, string[], string[]]>;
    expect(modules.map(([name]) => name)).toContain('IoTDataPlane');
    for (const [name, code, types] of modules) expect([name, types]).toEqual([name, code]);
  });
});
