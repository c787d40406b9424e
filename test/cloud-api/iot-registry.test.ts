/** Thing types, thing groups and filtered lists of things, with the real client. */
import {
  AddThingToThingGroupCommand,
  CreateThingCommand,
  CreateThingGroupCommand,
  CreateThingTypeCommand,
  DeleteThingCommand,
  DeleteThingGroupCommand,
  DeleteThingTypeCommand,
  DeprecateThingTypeCommand,
  DescribeThingCommand,
  DescribeThingGroupCommand,
  DescribeThingTypeCommand,
  type IoTClient,
  ListThingGroupsCommand,
  type ListThingGroupsCommandInput,
  ListThingGroupsForThingCommand,
  ListThingsCommand,
  type ListThingsCommandInput,
  ListThingsInThingGroupCommand,
  ListThingTypesCommand,
  RemoveThingFromThingGroupCommand,
  UpdateThingCommand,
  UpdateThingGroupCommand,
} from '@aws-sdk/client-iot';
import { Cloud, refusalOf } from './harness.js';

let cloud: Cloud;
let iot: IoTClient;
let prefix: string;
beforeEach(async () => {
  cloud = await Cloud.start();
  iot = cloud.iot();
  prefix = `arn:aws:iot:us-east-1:${cloud.installation.accountId}`;
});
afterEach(async () => {
  iot.destroy();
  await cloud.stop();
});

describe('thing types', () => {
  const thingTypeProperties = { thingTypeDescription: 'a lamp', searchableAttributes: ['floor'] };

  it('are made once, described, listed, deprecated and deleted', async () => {
    const made = await iot.send(new CreateThingTypeCommand({ thingTypeName: 'lamp', thingTypeProperties }));
    expect(made.thingTypeArn).toBe(`${prefix}:thingtype/lamp`);
    const again = await iot.send(new CreateThingTypeCommand({ thingTypeName: 'lamp', thingTypeProperties }));
    expect(again.thingTypeId).toBe(made.thingTypeId);
    expect(await refusalOf(iot.send(new CreateThingTypeCommand({ thingTypeName: 'lamp' })))).toMatchObject({
      status: 409,
      type: 'ResourceAlreadyExistsException',
    });
    expect(await iot.send(new DescribeThingTypeCommand({ thingTypeName: 'lamp' }))).toMatchObject({
      thingTypeProperties,
      thingTypeMetadata: { deprecated: false, creationDate: expect.any(Date) },
    });
    expect(await refusalOf(iot.send(new DeleteThingTypeCommand({ thingTypeName: 'lamp' })))).toMatchObject({
      type: 'InvalidRequestException',
    });
    await iot.send(new DeprecateThingTypeCommand({ thingTypeName: 'lamp' }));
    const listed = await iot.send(new ListThingTypesCommand({}));
    expect(listed.thingTypes).toMatchObject([
      { thingTypeName: 'lamp', thingTypeMetadata: { deprecated: true, deprecationDate: expect.any(Date) } },
    ]);
    expect(
      await refusalOf(iot.send(new CreateThingCommand({ thingName: 'late', thingTypeName: 'lamp' }))),
    ).toMatchObject({ type: 'InvalidRequestException' });
    await iot.send(new DeprecateThingTypeCommand({ thingTypeName: 'lamp', undoDeprecate: true }));
    await iot.send(new CreateThingCommand({ thingName: 'late', thingTypeName: 'lamp' }));
    await iot.send(new DeprecateThingTypeCommand({ thingTypeName: 'lamp' }));
    await iot.send(new DeleteThingTypeCommand({ thingTypeName: 'lamp' }));
    expect(await refusalOf(iot.send(new DescribeThingTypeCommand({ thingTypeName: 'lamp' })))).toMatchObject({
      status: 404,
      type: 'ResourceNotFoundException',
    });
  });

  it('must exist for a thing to have them', async () => {
    expect(
      await refusalOf(iot.send(new CreateThingCommand({ thingName: 'a', thingTypeName: 'none' }))),
    ).toMatchObject({ status: 404, type: 'ResourceNotFoundException' });
    expect(await refusalOf(iot.send(new DescribeThingCommand({ thingName: 'a' })))).toMatchObject({
      status: 404,
    });
    await iot.send(new CreateThingCommand({ thingName: 'a' }));
    expect(
      await refusalOf(iot.send(new UpdateThingCommand({ thingName: 'a', thingTypeName: 'none' }))),
    ).toMatchObject({ status: 404 });
    await iot.send(new CreateThingTypeCommand({ thingTypeName: 'some' }));
    await iot.send(new UpdateThingCommand({ thingName: 'a', thingTypeName: 'some' }));
    expect((await iot.send(new DescribeThingCommand({ thingName: 'a' }))).thingTypeName).toBe('some');
    await iot.send(new UpdateThingCommand({ thingName: 'a', removeThingType: true }));
    expect((await iot.send(new DescribeThingCommand({ thingName: 'a' }))).thingTypeName).toBeUndefined();
  });
});

describe('lists of things', () => {
  const names = async (input: ListThingsCommandInput) =>
    (await iot.send(new ListThingsCommand(input))).things?.map(({ thingName }) => thingName);

  it('can be narrowed by type and attribute', async () => {
    await iot.send(new CreateThingTypeCommand({ thingTypeName: 'lamp' }));
    const thing = (thingName: string, attributes: Record<string, string>, thingTypeName?: string) =>
      iot.send(
        new CreateThingCommand({
          thingName,
          attributePayload: { attributes },
          ...(thingTypeName === undefined ? {} : { thingTypeName }),
        }),
      );
    await thing('a', { floor: '1', room_1: 'hall' }, 'lamp');
    await thing('b', { floor: '12' }, 'lamp');
    await thing('c', { floor: '1', roomX1: 'HALL' });
    await thing('d', {});
    expect(await names({ thingTypeName: 'lamp' })).toEqual(['a', 'b']);
    expect(await names({ attributeName: 'floor' })).toEqual(['a', 'b', 'c']);
    expect(await names({ attributeName: 'floor', attributeValue: '1' })).toEqual(['a', 'c']);
    expect(
      await names({ attributeName: 'floor', attributeValue: '1', usePrefixAttributeValue: true }),
    ).toEqual(['a', 'b', 'c']);
    expect(await names({ attributeName: 'floor', attributeValue: '1', thingTypeName: 'lamp' })).toEqual([
      'a',
    ]);
    // Neither wildcards nor case are mistaken.
    expect(await names({ attributeName: 'room_1', attributeValue: 'hall' })).toEqual(['a']);
    expect(await names({ attributeName: 'hall' })).toEqual([]);
    expect(await refusalOf(iot.send(new ListThingsCommand({ attributeValue: '1' })))).toMatchObject({
      type: 'InvalidRequestException',
    });
    const first = await iot.send(new ListThingsCommand({ attributeName: 'floor', maxResults: 2 }));
    expect(await names({ attributeName: 'floor', nextToken: first.nextToken })).toEqual(['c']);
  });
});

describe('thing groups', () => {
  const group = (thingGroupName: string, parentGroupName?: string) =>
    iot.send(
      new CreateThingGroupCommand({
        thingGroupName,
        ...(parentGroupName === undefined ? {} : { parentGroupName }),
      }),
    );
  const thingsIn = async (thingGroupName: string, recursive = false) =>
    (await iot.send(new ListThingsInThingGroupCommand({ thingGroupName, recursive }))).things;
  const listed = async (input: ListThingGroupsCommandInput) =>
    (await iot.send(new ListThingGroupsCommand(input))).thingGroups?.map(({ groupName }) => groupName);

  it('are made once, described, changed and deleted', async () => {
    const thingGroupProperties = {
      thingGroupDescription: 'all',
      attributePayload: { attributes: { site: 'A' } },
    };
    const input = { thingGroupName: 'fleet', thingGroupProperties };
    const made = await iot.send(new CreateThingGroupCommand(input));
    expect(made.thingGroupArn).toBe(`${prefix}:thinggroup/fleet`);
    expect((await iot.send(new CreateThingGroupCommand(input))).thingGroupId).toBe(made.thingGroupId);
    expect(await refusalOf(group('fleet'))).toMatchObject({ type: 'ResourceAlreadyExistsException' });
    const update = (attributes: Record<string, string>, expectedVersion: number) =>
      iot.send(
        new UpdateThingGroupCommand({
          thingGroupName: 'fleet',
          expectedVersion,
          thingGroupProperties: { attributePayload: { attributes, merge: true } },
        }),
      );
    expect((await update({ floor: '1' }, 1)).version).toBe(2);
    expect(await refusalOf(update({ floor: '2' }, 1))).toMatchObject({ type: 'VersionConflictException' });
    expect(await iot.send(new DescribeThingGroupCommand({ thingGroupName: 'fleet' }))).toMatchObject({
      version: 2,
      thingGroupProperties: {
        thingGroupDescription: 'all',
        attributePayload: { attributes: { site: 'A', floor: '1' } },
      },
      thingGroupMetadata: { creationDate: expect.any(Date), rootToParentThingGroups: [] },
    });
    await iot.send(new DeleteThingGroupCommand({ thingGroupName: 'fleet' }));
    await iot.send(new DeleteThingGroupCommand({ thingGroupName: 'fleet' }));
    expect(
      await refusalOf(iot.send(new DescribeThingGroupCommand({ thingGroupName: 'fleet' }))),
    ).toMatchObject({ status: 404, type: 'ResourceNotFoundException' });
  });

  it('form a tree', async () => {
    await group('fleet');
    await group('north', 'fleet');
    await group('hall', 'north');
    await group('other');
    expect(await refusalOf(group('orphan', 'nowhere'))).toMatchObject({ status: 404 });
    expect(await listed({})).toEqual(['fleet', 'hall', 'north', 'other']);
    expect(await listed({ recursive: false })).toEqual(['fleet', 'other']);
    expect(await listed({ parentGroup: 'fleet' })).toEqual(['hall', 'north']);
    expect(await listed({ parentGroup: 'fleet', recursive: false })).toEqual(['north']);
    expect(await listed({ namePrefixFilter: 'o' })).toEqual(['other']);
    const { thingGroupMetadata } = await iot.send(new DescribeThingGroupCommand({ thingGroupName: 'hall' }));
    expect(thingGroupMetadata?.parentGroupName).toBe('north');
    expect(thingGroupMetadata?.rootToParentThingGroups?.map(({ groupName }) => groupName)).toEqual([
      'fleet',
      'north',
    ]);
    expect(await refusalOf(iot.send(new DeleteThingGroupCommand({ thingGroupName: 'north' })))).toMatchObject(
      { type: 'InvalidRequestException' },
    );
    for (const one of ['l4', 'l5', 'l6', 'l7'])
      await group(one, one === 'l4' ? 'hall' : `l${Number(one[1]) - 1}`);
    expect(await refusalOf(group('l8', 'l7'))).toMatchObject({ type: 'InvalidRequestException' });
  });

  it('hold things, by name or by ARN, and lose those that are deleted', async () => {
    await group('fleet');
    await group('north', 'fleet');
    for (const thingName of ['a', 'b', 'c']) await iot.send(new CreateThingCommand({ thingName }));
    await iot.send(new AddThingToThingGroupCommand({ thingGroupName: 'fleet', thingName: 'a' }));
    await iot.send(new AddThingToThingGroupCommand({ thingGroupName: 'fleet', thingName: 'a' }));
    await iot.send(
      new AddThingToThingGroupCommand({
        thingGroupArn: `${prefix}:thinggroup/north`,
        thingArn: `${prefix}:thing/b`,
      }),
    );
    await iot.send(new AddThingToThingGroupCommand({ thingGroupName: 'north', thingName: 'c' }));
    expect(await thingsIn('fleet')).toEqual(['a']);
    expect(await thingsIn('fleet', true)).toEqual(['a', 'b', 'c']);
    const page = await iot.send(
      new ListThingsInThingGroupCommand({ thingGroupName: 'fleet', recursive: true, maxResults: 2 }),
    );
    expect(page.things).toEqual(['a', 'b']);
    expect(page.nextToken).toBeDefined();
    expect((await iot.send(new ListThingGroupsForThingCommand({ thingName: 'b' }))).thingGroups).toEqual([
      { groupName: 'north', groupArn: `${prefix}:thinggroup/north` },
    ]);
    await iot.send(new RemoveThingFromThingGroupCommand({ thingGroupName: 'north', thingName: 'b' }));
    await iot.send(new DeleteThingCommand({ thingName: 'c' }));
    expect(await thingsIn('north')).toEqual([]);
    for (const wrong of [
      { thingGroupName: 'none', thingName: 'a' },
      { thingGroupName: 'fleet', thingName: 'none' },
    ]) {
      expect(await refusalOf(iot.send(new AddThingToThingGroupCommand(wrong)))).toMatchObject({
        status: 404,
        type: 'ResourceNotFoundException',
      });
    }
    expect(
      await refusalOf(iot.send(new AddThingToThingGroupCommand({ thingGroupName: 'fleet' }))),
    ).toMatchObject({ status: 400, type: 'InvalidRequestException' });
  });
});
