/** How a thing's shadows are synced: from the attributes of the registry to the core. */
import { syncedThings } from '../../greengrass/core/shadow/sync/shadow-sync.js';
import { groupDocument } from '../../greengrass/model/group.js';
import { shadowSyncMemberOf } from '../../greengrass/model/shadow-sync.js';

const ARN = 'arn:aws:iot:us-east-1:123456789012:thing/lamp';

describe('a member of ShadowSync', () => {
  it('is as V1 had it where the thing has no attributes for it', () => {
    expect(shadowSyncMemberOf(ARN, { colour: 'red' })).toEqual({ thingArn: ARN });
  });

  it('takes direction and names from the attributes', () => {
    const attributes = { 'greengrass:shadowDirection': 'fromCloud', 'greengrass:shadowNames': 'a,b-1' };
    const member = shadowSyncMemberOf(ARN, attributes);
    expect(member).toEqual({ thingArn: ARN, direction: 'fromCloud', shadowNames: ['a', 'b-1'] });
    const group = groupDocument.parse({
      GroupDefinitions: { ShadowSync: { Content: [member, { thingArn: 'odd' }] } },
    });
    expect(syncedThings(group.GroupDefinitions.ShadowSync.Content)).toEqual([
      { thingName: 'lamp', direction: 'fromCloud', shadowNames: ['a', 'b-1'] },
    ]);
  });

  it.each([
    { 'greengrass:shadowDirection': 'up' },
    { 'greengrass:shadowNames': 'a b' },
    { 'greengrass:shadowNames': Array.from({ length: 26 }, (_, n) => n).join(',') },
  ])('says what is wrong with %j', (attributes) => {
    expect(shadowSyncMemberOf(ARN, attributes)).toEqual({
      problem: expect.stringMatching(
        /greengrass:shadowDirection \(both, toCloud, fromCloud\).*thing\/lamp: /,
      ),
    });
  });
});
