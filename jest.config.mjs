// One compiler (tsc) makes what is shipped and what is tested; jest runs that output as native ES modules,
// which is what ESM-only packages such as aedes need. BUILD_DIR lets two working copies of the build coexist.
const buildDir = process.env.BUILD_DIR ?? 'dist';

export default {
  rootDir: process.cwd(),
  roots: [`<rootDir>/${buildDir}/test`],
  testMatch: ['**/*.test.js'],
  testEnvironment: 'node',
  transform: {},
  // Twenty seconds are enough on a quiet machine; three suites at a time on two cores are not quiet.
  testTimeout: 120_000,
  maxWorkers: 3,
  testSequencer: '<rootDir>/greengrass/dev/long-first.mjs',
};
