/** Stages that take too long, clouds that are away, and what ends the wait. */
import { persist, STAGE_LIMITS_MS, within } from '../../greengrass/core/deployment/stage-limits.js';
import { DeploymentError } from '../../greengrass/core/errors.js';
import { ServiceError } from '../../greengrass/core/service-client.js';
import { waitFor } from '../support/wait-for.js';
import { AgentBench, functionOf, groupOf, ZIP } from './agent-bench.js';
import { sha256 } from './cloud-side.js';

const down = () => new ServiceError('the line is down', true);
const patient = { limitMs: 60_000, signal: new AbortController().signal, onFailure: () => {} };

describe('a stage that needs the cloud', () => {
  it('is tried again while the reason may pass, also where a deployment error wraps it', async () => {
    let count = 0;
    const value = await persist({ ...patient, stage: 'document' }, async () => {
      count += 1;
      if (count === 1) throw new DeploymentError('DocumentDownloadFailed', 'wrapped', { cause: down() });
      return 'there';
    });
    expect([value, count]).toEqual(['there', 2]);
  });

  it.each([
    new ServiceError('no such deployment', false),
    new DeploymentError('ArtifactDigestMismatch', 'evil'),
    new Error('ours'),
  ])('fails at once with what will not pass: %p', async (error) => {
    const attempt = () => Promise.reject(error);
    await expect(persist({ ...patient, stage: 'artifacts' }, attempt)).rejects.toBe(error);
  });

  it('fails with its last reason when its time is over, and ends what is under way', async () => {
    let ended = false;
    const hangs = (signal: AbortSignal) =>
      new Promise<never>((_resolve, reject) =>
        signal.addEventListener('abort', () => {
          ended = true;
          reject(down());
        }),
      );
    await expect(persist({ ...patient, limitMs: 50, stage: 'artifacts' }, hangs)).rejects.toMatchObject({
      code: 'StageTimedOut',
      stage: 'artifacts',
      message: 'stage artifacts was not done within 0.05 seconds; the last reason: the line is down',
    });
    expect(ended).toBe(true);
  });

  it('ends with the reason of who ends it', async () => {
    const stop = new AbortController();
    const waiting = persist({ ...patient, signal: stop.signal, stage: 'document' }, () =>
      Promise.reject(down()),
    );
    const reason = new Error('enough');
    setImmediate(() => stop.abort(reason));
    await expect(waiting).rejects.toBe(reason);
  });
});

describe('a stage on the core', () => {
  it('fails when its time is over, and tells that the work goes on', async () => {
    let late = false;
    const work = new Promise<number>(() => {});
    await expect(within('swap', 20, work, () => (late = true))).rejects.toMatchObject({
      code: 'StageTimedOut',
      stage: 'swap',
    });
    expect(late).toBe(true);
    expect(await within('swap', 1000, Promise.resolve(7), () => (late = false))).toBe(7);
    expect(late).toBe(true);
  });
});

describe('the agent', () => {
  let bench: AgentBench;
  afterEach(() => bench.close());

  /** A cloud that answers nothing until it is told to. */
  const silent = async (limits = STAGE_LIMITS_MS) => {
    bench = new AgentBench(limits);
    bench.cloud.unreachable = true;
    await bench.agent.start();
    bench.cloud.zips.set(sha256(ZIP), ZIP);
  };
  const waits = () => waitFor(() => bench.lines.some(({ msg }) => msg === 'Deployment waits for the cloud.'));

  it('waits for a cloud that is away, and goes on when it is back', async () => {
    await silent();
    bench.cloud.deploy('d1', groupOf('1', [functionOf(ZIP)]));
    await waits();
    expect(bench.cloud.endOf('d1')).toBeUndefined();
    bench.cloud.unreachable = false;
    expect(await bench.endOf('d1')).toMatchObject({ status: 'Success' });
  });

  it('leaves a deployment that waits for the cloud for a newer one', async () => {
    await silent();
    bench.cloud.deploy('d1', groupOf('1'));
    await waits();
    bench.cloud.unreachable = false;
    bench.cloud.deploy('d2', groupOf('2'));
    expect(await bench.endOf('d1')).toMatchObject({
      status: 'Failure',
      errorDetails: [{ DetailedErrorCode: 'Superseded' }],
    });
    expect(await bench.endOf('d2')).toMatchObject({ status: 'Success' });
  });

  it('stops at once while a deployment waits for the cloud, and runs it after the next start', async () => {
    await silent();
    bench.cloud.deploy('d1', groupOf('1'));
    await waits();
    await bench.agent.stop();
    expect(bench.cloud.endOf('d1')).toBeUndefined();
    bench.cloud.unreachable = false;
    await bench.restart();
    bench.cloud.connect();
    expect(await bench.endOf('d1')).toMatchObject({ status: 'Success' });
  });

  it('reports a stage that took too long', async () => {
    await silent({ ...STAGE_LIMITS_MS, document: 30 });
    bench.cloud.deploy('d1', groupOf('1'));
    expect(await bench.endOf('d1')).toMatchObject({
      status: 'Failure',
      stage: 'document',
      errorDetails: [{ DetailedErrorCode: 'StageTimedOut' }],
    });
  });

  it('undoes a swap that comes too late before it runs another', async () => {
    bench = new AgentBench({ ...STAGE_LIMITS_MS, swap: 30 });
    await bench.agent.start();
    const open = bench.hold();
    bench.cloud.deploy('d1', groupOf('1'));
    expect(await bench.endOf('d1')).toMatchObject({ errorDetails: [{ DetailedErrorCode: 'StageTimedOut' }] });
    bench.cloud.deploy('d2', groupOf('2'));
    await bench.settle();
    expect(bench.steps).toEqual([]);
    open();
    expect(await bench.endOf('d2')).toMatchObject({ status: 'Success' });
    expect(bench.steps).toEqual(['swap', '1:', 'rollback', 'swap', '2:', 'health', 'commit']);
  });

  it('starts with a broken deployment.json: says so, and runs the newest deployment again', async () => {
    bench = await AgentBench.start();
    bench.cloud.deploy('d1', groupOf('1'));
    await bench.endOf('d1');
    await bench.settle();
    bench.breakMark('{"deploymentId":7');
    bench.cloud.loseReports();
    await bench.restart();
    bench.cloud.connect();
    expect(await bench.endOf('d1')).toMatchObject({ status: 'Success' });
    const line = bench.lines.find(({ msg }) => msg === 'Which deployment the group came with is not known.');
    expect(line?.reason).toMatch(/deployment\.json.*the newest deployment is run once more/);
    expect(bench.groups.deployed()).toEqual({ deploymentId: 'd1', groupId: 'group' });
  });
});
