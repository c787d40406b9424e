/** Who a software update is for: things by their ARNs, and all things of thing groups, those of the groups below among them. */
import { thingNameOf } from '../../model/arn.js';
import type { Store } from '../store/store.js';
import type { ApiContext } from './context.js';
import { refusal } from './errors.js';

const MAX_TARGETS = 100;
/** Things of one update: so many executions are made in one transaction. */
const MAX_THINGS = 10_000;
const PAGE = 1000;

/** Answers the things' names, each once. Throws BadRequestException. */
export async function thingsOfTargets(
  { store, region, accountId }: Pick<ApiContext, 'store' | 'region' | 'accountId'>,
  targets: readonly string[],
): Promise<string[]> {
  if (targets.length === 0 || targets.length > MAX_TARGETS) {
    throw refusal(
      'BadRequestException',
      `UpdateTargets: must be 1 to ${MAX_TARGETS} ARNs of things or thing groups.`,
    );
  }
  const groupPrefix = `arn:aws:iot:${region}:${accountId}:thinggroup/`;
  const names = new Set<string>();
  for (const target of targets) {
    const isGroup = target.startsWith(groupPrefix);
    const found = isGroup
      ? await thingsBelow(store, target.slice(groupPrefix.length))
      : await thingOf(store, target);
    if (!found) {
      throw refusal(
        'BadRequestException',
        `UpdateTargets: ${target} is not the ARN of a thing or a thing group that exists.`,
      );
    }
    for (const name of found) names.add(name);
  }
  if (names.size === 0 || names.size > MAX_THINGS) {
    throw refusal(
      'BadRequestException',
      `UpdateTargets: are ${names.size} things together; an update is for 1 to ${MAX_THINGS}.`,
    );
  }
  return [...names];
}

async function thingOf({ things }: Store, arn: string): Promise<string[] | undefined> {
  const thing = await things.find(thingNameOf(arn) ?? '');
  return thing?.thingArn === arn ? [thing.thingName] : undefined;
}

/** One more than may be, at most. */
async function thingsBelow({ thingGroups }: Store, groupName: string): Promise<string[] | undefined> {
  if (!(await thingGroups.find(groupName))) return undefined;
  const names: string[] = [];
  const waiting = [groupName];
  for (let group = waiting.pop(); group !== undefined && names.length <= MAX_THINGS; group = waiting.pop()) {
    for (let after: string | undefined; names.length <= MAX_THINGS; ) {
      const page = await thingGroups.thingsOf(group, PAGE, after);
      names.push(...page);
      if (page.length < PAGE) break;
      after = page.at(-1);
    }
    waiting.push(...(await thingGroups.childrenOf(group)).map(({ name }) => name));
  }
  return names;
}
