// The order of the tests: the longest suites first, so that none of them runs alone at the end. jest knows how long a
// suite took only where it ran before, and a fresh clone has not.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Sequencer from '@jest/test-sequencer';

const LONGEST = [
  'ota/power-cut',
  'journeys/ota',
  'faults/kill',
  'cli/aws-parity',
  'hybrid/deployments',
  'faults/network',
  'cloud-api/clients',
  'cloud-api/audit',
  'broker/without-lane',
  'isolation/attacks',
  'lambda/bad-input',
  'lambda/leaks',
  'docs/install',
  'deployment/steady',
  'shadow/convergence',
  'broker/back-pressure',
];

const root = fileURLToPath(new URL('../..', import.meta.url));
for (const suite of LONGEST) {
  if (!existsSync(join(root, 'test', `${suite}.test.ts`))) {
    throw new Error(
      `greengrass/dev/long-first.mjs names test/${suite}.test.ts, which is not there: take it out`,
    );
  }
}

const rank = ({ path }) => {
  const at = LONGEST.findIndex((suite) => path.endsWith(`/test/${suite}.test.js`));
  return at === -1 ? LONGEST.length : at;
};

export default class LongFirst extends (Sequencer.default ?? Sequencer) {
  sort(tests) {
    return [...super.sort(tests)].sort((a, b) => rank(a) - rank(b));
  }
}
