/** Why a message found no target, in words that lead to the mistake. */
import { nearestSubscription } from '../../greengrass/core/router/nearest.js';

const fn = (version: string) => `arn:aws:lambda:us-east-1:123456789012:function:f:${version}`;
const LAMP = 'arn:aws:iot:us-east-1:123456789012:thing/lamp';
const from = (Source: string, Subject: string) => ({ Source, Subject, Target: 'cloud' });

describe('the nearest subscription', () => {
  it.each([
    ['another level', [from(LAMP, 'a/b/c')], LAMP, 'a/x/c', 'topic', 'level 2 is "x", the subject wants "b"'],
    ['a topic that ends', [from(LAMP, 'a/b')], LAMP, 'a', 'topic', 'the topic ends after level 1'],
    ['a topic that goes on', [from(LAMP, 'a/+')], LAMP, 'a/b/c', 'topic', 'the topic goes on after level 2'],
    ['the parent of #', [from(LAMP, 'a/#')], LAMP, 'a', 'topic', 'takes what is below a, not a itself'],
    ['a reserved topic', [from(LAMP, '#')], LAMP, '$aws/x', 'topic', 'topics that start with $'],
    ['another version', [from(fn('1'), 'a')], fn('2'), 'a', 'version', 'function:f:1'],
    ['another source', [from('cloud', 'a')], LAMP, 'a', 'source', 'the source of the subscription is cloud'],
  ] as const)('names %s', (_name, subscriptions, source, topic, differs, words) => {
    const nearest = nearestSubscription(subscriptions, source, topic);
    expect(nearest?.differs).toBe(differs);
    expect(nearest?.reason).toContain(words);
  });

  it('is the one that has most in common', () => {
    const subscriptions = [
      from('cloud', 'a/b/c'),
      from(LAMP, 'x'),
      from(LAMP, 'a/b/d'),
      from(LAMP, 'a/y'),
      from(fn('2'), 'q'),
    ];
    const nearest = (source: string) => nearestSubscription(subscriptions, source, 'a/b/c')?.subscription;
    expect(nearest(LAMP)?.Subject).toBe('a/b/d');
    expect(nearestSubscription([...subscriptions, from(fn('1'), 'a/#')], fn('2'), 'a/b/c')?.differs).toBe(
      'version',
    );
    expect(nearest('GGShadowService')?.Source).toBe('cloud');
  });

  it('does not exist where nothing fits at all', () => {
    expect(nearestSubscription([from('cloud', 'b')], LAMP, 'a')).toBeUndefined();
  });
});
