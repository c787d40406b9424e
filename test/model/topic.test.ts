import fc from 'fast-check';
import {
  filterMatches,
  filterProblem,
  MAX_TOPIC_BYTES,
  parseShadowTopic,
  shadowTopic,
  topicProblem,
} from '../../greengrass/model/topic.js';

describe('topic filters', () => {
  it.each([
    ['a/b', 'a/b', true],
    ['a/b', 'a/b/', false],
    ['a/+', 'a/b', true],
    ['a/+', 'a/', true],
    ['a/+', 'a', false],
    ['a/+', 'a/b/c', false],
    ['+', '/a', false],
    ['/+', '/a', true],
    ['#', 'a/b/c', true],
    ['#', '$aws/things/x', false],
    ['+/things', '$aws/things', false],
    ['$aws/#', '$aws/things/x', true],
    ['sensor/#', 'sensor/', true],
    ['sensor/#', 'sensor/id', true],
    ['sensor/#', 'sensor/a/b', true],
    ['a/b', 'A/b', false],
  ])('%s takes %s: %s', (filter, topic, expected) => {
    expect(filterMatches(filter, topic)).toBe(expected);
  });

  it("keeps V1's exception: sensor/# does not take sensor, although MQTT's does", () => {
    expect(filterMatches('sensor/#', 'sensor')).toBe(false);
    expect(filterMatches('sensor/#', 'sensor', 'included')).toBe(true);
  });

  it.each([
    ['', /empty/],
    ['a/#/b', /'#'/],
    ['a#', /'#'/],
    ['a/b+', /'\+'/],
    ['a\u0000b', /null/],
    ['x'.repeat(MAX_TOPIC_BYTES + 1), /257 bytes/],
    ['1/2/3/4/5/6/7/8/9', /8 slashes/],
  ])('refuses the filter %j and says why', (filter, reason) => {
    expect(filterProblem(filter)).toMatch(reason);
  });

  it('refuses to publish to wildcards', () => {
    expect(topicProblem('a/+')).toMatch(/wildcards/);
    expect(topicProblem('a/#')).toMatch(/wildcards/);
    expect(topicProblem('a/b')).toBeUndefined();
  });

  const level = fc.constantFrom('a', 'b', '', 'long-level', 'ü');
  const topic = fc.array(level, { minLength: 1, maxLength: 6 }).map((levels) => levels.join('/'));

  it('every topic matches itself, and any filter made from it with wildcards', () => {
    fc.assert(
      fc.property(topic, fc.array(fc.boolean(), { maxLength: 6 }), fc.nat(5), (text, plus, cut) => {
        const levels = text.split('/');
        const filter = levels.map((item, index) => (plus[index] ? '+' : item)).join('/');
        expect(filterMatches(filter, text)).toBe(true);
        if (cut < levels.length) {
          expect(filterMatches([...levels.slice(0, cut), '#'].join('/'), text)).toBe(true);
        }
      }),
    );
  });

  it('agrees with a regular expression built from the filter', () => {
    const part = fc.constantFrom('a', 'b', '', '+');
    const filters = fc
      .tuple(fc.array(part, { minLength: 1, maxLength: 5 }), fc.boolean())
      .map(([parts, hash]) => [...parts, ...(hash ? ['#'] : [])].join('/'));
    fc.assert(
      fc.property(filters, topic, (filter, text) => {
        const source = filter
          .split('/')
          .map((item) => (item === '+' ? '[^/]*' : item === '#' ? '.*' : item))
          .join('/');
        expect(filterMatches(filter, text)).toBe(new RegExp(`^${source}$`, 's').test(text));
      }),
    );
  });
});

describe('shadow topics', () => {
  it('are taken apart and put together', () => {
    const text = '$aws/things/light-1/shadow/update/delta';
    expect(parseShadowTopic(text)).toEqual({
      thingName: 'light-1',
      key: 'light-1',
      operation: 'update',
      kind: 'delta',
    });
    expect(shadowTopic('light-1', 'update', 'delta')).toBe(text);
    expect(parseShadowTopic('$aws/things/light-1/shadow/get')).toEqual({
      thingName: 'light-1',
      key: 'light-1',
      operation: 'get',
    });
  });

  it('of named shadows carry a key of their own', () => {
    const text = '$aws/things/light-1/shadow/name/config/get/accepted';
    expect(parseShadowTopic(text)).toEqual({
      thingName: 'light-1',
      key: 'light-1/config',
      operation: 'get',
      kind: 'accepted',
    });
    expect(shadowTopic('light-1/config', 'get', 'accepted')).toBe(text);
  });

  it.each([
    '$aws/things//shadow/get',
    '$aws/things/a/b/shadow/get',
    '$aws/things/a/shadow/put',
    '$aws/things/a/shadow/name//get',
    '$aws/things/a/shadow/name/b/c/get',
    'things/a/shadow/get',
  ])('%s is none', (text) => {
    expect(parseShadowTopic(text)).toBeUndefined();
  });
});
