/** Tags of groups and definitions. */
import type { TagResourceRequest } from '@aws-sdk/client-greengrass';
import type { Container } from '../store/store.js';
import { GreengrassArns } from './containers.js';
import type { ApiContext } from './context.js';
import { refusal } from './errors.js';
import type { Call, Operation } from './operation.js';
import { body, MAX_TAGS } from './request-shapes.js';

const tagging = body<TagResourceRequest>('TagResource');

export function tagOperations({ store, region, accountId }: ApiContext): Operation[] {
  const arns = new GreengrassArns(region, accountId);
  const path = '/tags/:resourceArn';

  async function find(call: Call): Promise<Container> {
    const arn = call.param('resourceArn');
    const reference = arns.parseContainer(arn);
    const found = reference && (await store.containers.find(reference.kind, reference.id));
    if (!found) throw refusal('ResourceNotFoundException', `The resource ${arn} does not exist.`);
    return found;
  }

  return [
    {
      name: 'ListTagsForResource',
      method: 'GET',
      path,
      handle: async (call) => ({ tags: (await find(call)).tags }),
    },
    {
      name: 'TagResource',
      method: 'POST',
      path,
      status: 204,
      handle: async (call) => {
        const { tags: given = {} } = call.json(tagging);
        const { kind, id, tags: before } = await find(call);
        const after = { ...before, ...given };
        if (Object.keys(after).length > MAX_TAGS) {
          throw refusal('BadRequestException', `A resource can have at most ${MAX_TAGS} tags.`);
        }
        await store.containers.setTags(kind, id, after);
        return undefined;
      },
    },
    {
      name: 'UntagResource',
      method: 'DELETE',
      path,
      status: 204,
      handle: async (call) => {
        const keys = new Set(call.queryAll('tagKeys'));
        if (keys.size === 0) throw refusal('BadRequestException', 'tagKeys is missing in the query.');
        const { kind, id, tags: before } = await find(call);
        const after = Object.entries(before).filter(([key]) => !keys.has(key));
        await store.containers.setTags(kind, id, Object.fromEntries(after));
        return undefined;
      },
    },
  ];
}
