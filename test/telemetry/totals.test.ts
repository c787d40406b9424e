import { Totals } from '../../greengrass/core/telemetry/totals.js';

const FUNCTION = 'arn:aws:lambda:us-east-1:123456789012:function:f:1';

describe('sums of telemetry', () => {
  it('only grow, over a restart too', () => {
    const totals = new Totals();
    totals.add(FUNCTION, 'LambdaTimeout', 1);
    totals.add(FUNCTION, 'LambdaTimeout', 1);
    totals.add('SystemMetrics', 'CpuUsage', 12.345);
    const kept = totals.points(0);
    const next = new Totals();
    next.load(kept);
    next.add(FUNCTION, 'LambdaTimeout', 1);
    expect(next.points(7)).toEqual([
      { TS: 7, NS: 'SystemMetrics', M: [{ N: 'CpuUsage', Sum: 12.35, U: 'Percent' }] },
      { TS: 7, NS: FUNCTION, M: [{ N: 'LambdaTimeout', Sum: 3, U: 'Count' }] },
    ]);
  });

  it('forget the function that has not counted longest where there are too many', () => {
    const totals = new Totals();
    for (let n = 0; n < 150; n++) totals.add(`f${n}`, 'LambdaError', 1);
    const names = totals.points(0).map(({ NS }) => NS);
    expect(names).toHaveLength(100);
    expect(names[0]).toBe('f50');
  });
});
