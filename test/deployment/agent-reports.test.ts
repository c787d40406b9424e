/** What the cloud learns of a deployment that failed, of a connection that did, and of a power cut. */
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DeploymentError } from '../../greengrass/core/errors.js';
import { waitFor } from '../support/wait-for.js';
import { AgentBench, ARN, functionOf, groupOf, ZIP } from './agent-bench.js';
import { sha256 } from './cloud-side.js';
import { zipOf } from './zip.js';

let bench: AgentBench;
beforeEach(async () => {
  bench = await AgentBench.start();
});
afterEach(() => bench.close());

describe('a deployment that fails leaves the old group and says why:', () => {
  beforeEach(async () => {
    bench.cloud.deploy('old', groupOf('old'));
    await bench.endOf('old');
    bench.steps.length = 0;
  });

  /** The failure of deployment `bad` as it was reported. */
  async function failure() {
    const { status, stage, errorMessage, errorDetails } = await bench.endOf('bad');
    expect(status).toBe('Failure');
    expect(bench.groups.load().Version).toBe('old');
    expect(bench.groups.deployed()?.deploymentId).toBe('old');
    const detail = errorDetails?.[0];
    expect(errorMessage).toBe(
      `Deployment bad of type NewDeployment for group group failed error: ${detail?.DetailedErrorMessage}`,
    );
    return { stage, code: detail?.DetailedErrorCode, reason: detail?.DetailedErrorMessage };
  }

  it('no document', async () => {
    bench.cloud.deploy('bad', groupOf('bad'), { groupId: 'other' });
    const { errorMessage, errorDetails, stage } = await bench.endOf('bad');
    expect([stage, errorDetails?.[0]?.DetailedErrorCode]).toEqual(['document', 'DocumentDownloadFailed']);
    expect(errorMessage).toBe(
      'Deployment bad of type NewDeployment for group other failed error: unable to execute download step in deployment. error while downloading: error while downloading the Group definition file: no deployment bad',
    );
    expect(bench.steps).toEqual([]);
  });

  it('a document with another digest', async () => {
    bench.cloud.deploy('bad', groupOf('bad'), { documentSha256: 'b'.repeat(64) });
    expect(await failure()).toMatchObject({ stage: 'document', code: 'DocumentDigestMismatch' });
  });

  it('a document that is none', async () => {
    bench.cloud.deploy('bad', { Cores: 'none' });
    expect(await failure()).toMatchObject({
      stage: 'document',
      code: 'DocumentInvalid',
      reason: expect.stringContaining('unable to load the group file downloaded'),
    });
  });

  it('no code', async () => {
    bench.cloud.deploy('bad', groupOf('bad', [functionOf(ZIP)]));
    expect(await failure()).toEqual({
      stage: 'artifacts',
      code: 'ArtifactDownloadFailed',
      reason: `unable to execute download step in deployment. error while downloading: the code of ${ARN}: no artifact ${sha256(ZIP)}`,
    });
  });

  it('other code than was named', async () => {
    bench.cloud.zips.set(sha256(ZIP), zipOf([{ name: 'evil.py', data: '' }]));
    bench.cloud.deploy('bad', groupOf('bad', [functionOf(ZIP)]));
    expect(await failure()).toMatchObject({ stage: 'artifacts', code: 'ArtifactDigestMismatch' });
  });

  it('hostile code', async () => {
    const zip = zipOf([{ name: '../../../../escaped', data: '' }]);
    bench.cloud.zips.set(sha256(zip), zip);
    bench.cloud.deploy('bad', groupOf('bad', [functionOf(zip)]));
    expect(await failure()).toMatchObject({ stage: 'artifacts', code: 'ArtifactUnsafe' });
    expect(existsSync(join(bench.root, 'escaped'))).toBe(false);
  });

  it('a group that breaks the rules', async () => {
    bench.cloud.deploy(
      'bad',
      groupOf('bad', [], [{ Id: 's1', Source: 'nobody', Subject: 'a', Target: 'cloud' }]),
    );
    expect(await failure()).toEqual({
      stage: 'checks',
      code: 'GroupConfigInvalid',
      reason:
        "Error while processing. group config is invalid: Subscription source is invalid. ID is 's1' and Source is 'nobody'",
    });
    expect(bench.steps).toEqual([]);
  });

  it('a group that breaks them so often that no shadow could hold it all', async () => {
    const broken = Array.from({ length: 500 }, (_, n) => ({
      Id: `s${n}`,
      Source: 'ü'.repeat(50),
      Subject: 'a',
      Target: 'cloud',
    }));
    bench.cloud.deploy('bad', groupOf('bad', [], broken));
    expect((await failure()).reason).toMatch(/^Error while processing\. group config is invalid: .*…$/);
  });

  it('a swap that can not be done', async () => {
    bench.failing.set('swap', new DeploymentError('InterpreterNotFound', 'no python3.11 on this host'));
    bench.cloud.deploy('bad', groupOf('bad'));
    expect(await failure()).toEqual({
      stage: 'prepare',
      code: 'InterpreterNotFound',
      reason: 'no python3.11 on this host',
    });
    expect(bench.steps).toEqual(['swap']);
  });

  it('a group that is not healthy, which is taken back', async () => {
    bench.failing.set('health', new DeploymentError('WorkerUnhealthy', 'hello:1 exited with code 1'));
    bench.cloud.deploy('bad', groupOf('bad'));
    expect(await failure()).toMatchObject({ stage: 'health', code: 'WorkerUnhealthy' });
    expect(bench.steps).toEqual(['swap', 'bad:', 'health', 'rollback']);
  });

  it('a disk that does not take the group, which is taken back', async () => {
    const mark = join(bench.root, 'deployment', 'group', 'deployment.json');
    rmSync(mark);
    mkdirSync(join(mark, 'in-the-way'), { recursive: true });
    bench.cloud.deploy('bad', groupOf('bad'));
    const { stage, errorDetails } = await bench.endOf('bad');
    expect([stage, errorDetails?.[0]?.DetailedErrorCode]).toEqual(['commit', 'CommitFailed']);
    expect(bench.groups.load().Version).toBe('old');
    expect(bench.steps.at(-1)).toBe('rollback');
    rmSync(mark, { recursive: true });
  });

  it('an error that nobody foresaw', async () => {
    bench.failing.set('health', new TypeError('x is not a function'));
    bench.cloud.deploy('bad', groupOf('bad'));
    expect(await failure()).toEqual({
      stage: 'health',
      code: 'InternalError',
      reason: 'x is not a function',
    });
    expect(bench.lines.some(({ stack }) => typeof stack === 'string')).toBe(true);
  });

  it('and is followed by the next one', async () => {
    bench.failing.set('health', new Error('first'));
    bench.cloud.deploy('bad', groupOf('bad'));
    await failure();
    bench.failing.clear();
    bench.cloud.deploy('good', groupOf('good'));
    expect((await bench.endOf('good')).status).toBe('Success');
    expect(bench.groups.load().Version).toBe('good');
  });
});

describe('a report', () => {
  it('is repeated after every connect until the cloud has accepted it', async () => {
    bench.cloud.losesAnswers = true;
    bench.cloud.deploy('d1', groupOf('1'));
    await bench.endOf('d1');
    await bench.settle();
    expect(existsSync(bench.reportFile())).toBe(true);
    const before = bench.cloud.reports.length;
    bench.cloud.connect();
    await bench.settle();
    expect(bench.cloud.reports.length).toBe(before + 1);
    bench.cloud.losesAnswers = false;
    bench.cloud.connect();
    await bench.settle();
    expect(existsSync(bench.reportFile())).toBe(false);
    const after = bench.cloud.reports.length;
    bench.cloud.connect();
    await bench.settle();
    expect(bench.cloud.reports.length).toBe(after);
  });

  it('outlives the process when the connection broke before it', async () => {
    bench.failing.set('health', new Error('too hot'));
    const open = bench.hold();
    bench.cloud.deploy('d1', groupOf('1'));
    await waitFor(() => bench.cloud.reports.some(({ stage }) => stage === 'prepare'));
    bench.cloud.online = false;
    open();
    await waitFor(() => existsSync(bench.reportFile()));
    expect(bench.cloud.endOf('d1')).toBeUndefined();
    await bench.restart();
    bench.cloud.connect();
    expect(await bench.endOf('d1')).toMatchObject({ status: 'Failure', stage: 'health' });
    await waitFor(() => !existsSync(bench.reportFile()));
    expect(bench.steps.filter((name) => name === 'swap')).toHaveLength(1);
  });

  it('is made up for where the power went between the commit and the report', async () => {
    bench.cloud.deploy('d1', groupOf('1'));
    await bench.endOf('d1');
    await bench.settle();
    bench.cloud.loseReports();
    await bench.restart();
    expect(await bench.endOf('d1')).toMatchObject({ status: 'Success', stage: 'commit' });
    expect(bench.steps.filter((name) => name === 'swap')).toHaveLength(1);
  });

  it('reaches the cloud though the disk does not take it', async () => {
    writeFileSync(join(bench.root, 'var'), 'a file where a folder should be');
    bench.cloud.deploy('d1', groupOf('1'));
    expect((await bench.endOf('d1')).status).toBe('Success');
    bench.cloud.deploy('d2', groupOf('2'));
    expect((await bench.endOf('d2')).status).toBe('Success');
  });

  it('that is unreadable on disk is dropped', async () => {
    mkdirSync(join(bench.root, 'var', 'state'), { recursive: true });
    writeFileSync(bench.reportFile(), '{"half":');
    await bench.restart();
    expect(bench.lines.some(({ msg }) => msg.includes('unreadable'))).toBe(true);
    bench.cloud.deploy('d1', groupOf('1'));
    expect((await bench.endOf('d1')).status).toBe('Success');
  });
});

it('tells why there was a way back to go, also where the way back failed', async () => {
  bench.failing.set('health', new DeploymentError('WorkerUnhealthy', 'gone'));
  bench.failing.set('rollback', new Error('no way'));
  bench.cloud.deploy('bad', groupOf('2'));
  expect(await bench.endOf('bad')).toMatchObject({
    status: 'Failure',
    errorDetails: [{ DetailedErrorCode: 'WorkerUnhealthy' }],
  });
  expect(bench.lines.map(({ msg }) => msg)).toContain('The old group did not come back whole.');
});
