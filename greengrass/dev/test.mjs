// `npm test`: linter and formatter, then every test; the last line is "N passed, N failed[, N skipped]".
// Arguments are handed on to jest: `npm test -- test/router`.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const options = { cwd: root, stdio: 'inherit' };

const lint = spawnSync(join(root, 'node_modules/.bin/biome'), ['check', '.'], options);

const folder = mkdtempSync(join(tmpdir(), 'greengrass-test-'));
const results = join(folder, 'results.json');
const jest = spawnSync(
  process.execPath,
  [
    '--experimental-vm-modules',
    '--no-warnings',
    join(root, 'node_modules/jest/bin/jest.js'),
    '--json',
    `--outputFile=${results}`,
    ...process.argv.slice(2),
  ],
  {
    ...options,
    stdio: ['ignore', 'ignore', 'inherit'],
    // What the suites share: test/support/ready-made.ts.
    env: { ...process.env, GREENGRASS_READY_MADE: join(folder, 'ready-made') },
  },
);

let summary = { numPassedTests: 0, numFailedTests: 0, numPendingTests: 0, numRuntimeErrorTestSuites: 0 };
if (existsSync(results)) summary = JSON.parse(readFileSync(results, 'utf8'));
rmSync(folder, { recursive: true, force: true });

// A suite that could not even load, and a linter that objects, each count as one failure.
const failed = summary.numFailedTests + summary.numRuntimeErrorTestSuites + (lint.status === 0 ? 0 : 1);
const skipped = summary.numPendingTests > 0 ? `, ${summary.numPendingTests} skipped` : '';
console.log(`${summary.numPassedTests} passed, ${failed} failed${skipped}`);
process.exitCode = failed === 0 && summary.numPassedTests > 0 && jest.status === 0 ? 0 : 1;
