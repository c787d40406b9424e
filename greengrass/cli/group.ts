/** Groups: find by name or id, make a version that differs in one definition. */
import {
  CreateGroupVersionCommand,
  GetGroupCommand,
  GetGroupVersionCommand,
  type GroupVersion,
  ListGroupsCommand,
} from '@aws-sdk/client-greengrass';
import { type Clients, present } from './clients.js';

/** Id of the group with this name or id. Throws where none or several have the name. */
export async function findGroup({ greengrass }: Clients, nameOrId: string): Promise<string> {
  const found: string[] = [];
  let NextToken: string | undefined;
  do {
    const page = await greengrass.send(new ListGroupsCommand(NextToken === undefined ? {} : { NextToken }));
    for (const group of page.Groups ?? []) {
      if (group.Id === nameOrId) return nameOrId;
      if (group.Name === nameOrId && group.Id) found.push(group.Id);
    }
    NextToken = page.NextToken;
  } while (NextToken !== undefined);
  if (found.length === 1) return found[0] as string;
  throw new Error(
    found.length === 0
      ? `there is no group "${nameOrId}": gg list-groups shows them`
      : `${found.length} groups have the name "${nameOrId}"; use one of the ids: ${found.join(', ')}`,
  );
}

export async function latestVersion(
  { greengrass }: Clients,
  groupId: string,
): Promise<{ id: string; definition: GroupVersion }> {
  const group = await greengrass.send(new GetGroupCommand({ GroupId: groupId }));
  const id = present(group.LatestVersion, 'LatestVersion');
  const version = await greengrass.send(new GetGroupVersionCommand({ GroupId: groupId, GroupVersionId: id }));
  return { id, definition: version.Definition ?? {} };
}

/** A new version of the group: the latest one with these definitions in place of its own. */
export async function changeGroup(clients: Clients, groupId: string, change: GroupVersion): Promise<string> {
  const { definition } = await latestVersion(clients, groupId);
  const version = await clients.greengrass.send(
    new CreateGroupVersionCommand({ GroupId: groupId, ...definition, ...change }),
  );
  return present(version.Version, 'Version');
}
