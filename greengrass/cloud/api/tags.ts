/** Tags of groups, definitions and bulk deployments. */
import type { TagResourceRequest } from '@aws-sdk/client-greengrass';
import { GreengrassArns } from './containers.js';
import type { ApiContext } from './context.js';
import { refusal } from './errors.js';
import type { Call, Operation } from './operation.js';
import { body, MAX_TAGS } from './request-shapes.js';

const tagging = body<TagResourceRequest>('TagResource');

interface Tagged {
  readonly tags: Readonly<Record<string, string>>;
  save(tags: Readonly<Record<string, string>>): Promise<void>;
}

export function tagOperations({ store, region, accountId }: ApiContext): Operation[] {
  const arns = new GreengrassArns(region, accountId);
  const path = '/tags/:resourceArn';

  async function find(call: Call): Promise<Tagged> {
    const arn = call.param('resourceArn');
    const found = (await findContainer(arn)) ?? (await findBulkDeployment(arn));
    if (!found) throw refusal('ResourceNotFoundException', `The resource ${arn} does not exist.`);
    return found;
  }

  async function findContainer(arn: string): Promise<Tagged | undefined> {
    const reference = arns.parseContainer(arn);
    const found = reference && (await store.containers.find(reference.kind, reference.id));
    return (
      found && {
        tags: found.tags,
        save: (after) => store.containers.setTags(found.kind, found.id, after),
      }
    );
  }

  async function findBulkDeployment(arn: string): Promise<Tagged | undefined> {
    const bulkId = arns.parseBulkDeployment(arn);
    const found = bulkId === undefined ? undefined : await store.bulkDeployments.find(bulkId);
    return (
      found && {
        tags: found.tags,
        save: (after) => store.bulkDeployments.setTags(found.bulkId, after),
      }
    );
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
        const resource = await find(call);
        const after = { ...resource.tags, ...given };
        if (Object.keys(after).length > MAX_TAGS) {
          throw refusal('BadRequestException', `A resource can have at most ${MAX_TAGS} tags.`);
        }
        await resource.save(after);
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
        const resource = await find(call);
        const after = Object.entries(resource.tags).filter(([key]) => !keys.has(key));
        await resource.save(Object.fromEntries(after));
        return undefined;
      },
    },
  ];
}
