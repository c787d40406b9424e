/** Which group of the cloud is the one of a core that is adopted: there is one where an adoption is made again. */
import {
  GetCoreDefinitionVersionCommand,
  GetGroupVersionCommand,
  ListGroupsCommand,
} from '@aws-sdk/client-greengrass';
import type { Clients } from '../clients.js';

/** The group that an earlier try has made: it gets another version. Rejects where the name is another core's. */
export async function findGroup(
  { greengrass }: Clients,
  name: string,
  core: string,
): Promise<string | undefined> {
  let NextToken: string | undefined;
  do {
    const page = await greengrass.send(new ListGroupsCommand(NextToken === undefined ? {} : { NextToken }));
    NextToken = page.NextToken;
    for (const { Id: GroupId, Name, LatestVersion } of page.Groups ?? []) {
      if (Name !== name || GroupId === undefined) continue;
      const cores = await coresOf(greengrass, GroupId, LatestVersion);
      if (cores.length > 0 && !cores.includes(core)) {
        throw new Error(
          `the cloud has a group ${name} (${GroupId}) with core ${cores.join(', ')}. Give this one another name: --group-name; nothing was changed.`,
        );
      }
      if (cores.length > 0) return GroupId;
    }
  } while (NextToken !== undefined);
  return undefined;
}

async function coresOf(
  greengrass: Clients['greengrass'],
  GroupId: string,
  GroupVersionId: string | undefined,
): Promise<string[]> {
  if (GroupVersionId === undefined) return [];
  const { Definition } = await greengrass.send(new GetGroupVersionCommand({ GroupId, GroupVersionId }));
  const [, CoreDefinitionId, CoreDefinitionVersionId] =
    /\/cores\/([^/]+)\/versions\/([^/]+)$/.exec(Definition?.CoreDefinitionVersionArn ?? '') ?? [];
  if (CoreDefinitionId === undefined || CoreDefinitionVersionId === undefined) return [];
  const version = await greengrass.send(
    new GetCoreDefinitionVersionCommand({ CoreDefinitionId, CoreDefinitionVersionId }),
  );
  return (version.Definition?.Cores ?? []).flatMap(({ ThingArn }) => ThingArn ?? []);
}
