/** What definitions and groups have in common on the wire: ARNs, answers, tags. */
import {
  type Container,
  type ContainerVersion,
  DEFINITION_KINDS,
  type DefinitionKind,
} from '../store/store.js';
import { refusal } from './errors.js';

export type Kind = Container['kind'];

/** Builds and reads the ARNs of one account and region. */
export class GreengrassArns {
  readonly #prefix: string;

  constructor(region: string, accountId: string) {
    this.#prefix = `arn:aws:greengrass:${region}:${accountId}:`;
  }

  container(kind: Kind, id: string): string {
    return `${this.#prefix}/greengrass/${kind === 'groups' ? 'groups' : `definition/${kind}`}/${id}`;
  }

  version(kind: Kind, id: string, version: string): string {
    return `${this.container(kind, id)}/versions/${version}`;
  }

  deployment(groupId: string, deploymentId: string): string {
    return `${this.container('groups', groupId)}/deployments/${deploymentId}`;
  }

  certificateAuthority(groupId: string, authorityId: string): string {
    return `${this.container('groups', groupId)}/certificateauthorities/${authorityId}`;
  }

  bulkDeployment(bulkId: string): string {
    return `${this.#prefix}/greengrass/bulk/deployments/${bulkId}`;
  }

  /** The id in the ARN of a bulk deployment. */
  parseBulkDeployment(arn: string): string | undefined {
    return this.#pathOf(arn, '/greengrass/bulk/deployments/');
  }

  /** Ids in the ARN of a definition version of the kind; undefined where the text is none of this account. */
  parseDefinitionVersion(kind: DefinitionKind, arn: string): { id: string; version: string } | undefined {
    const rest = this.#pathOf(arn, `/greengrass/definition/${kind}/`);
    const [id, word, version, ...more] = rest?.split('/') ?? [];
    return id && word === 'versions' && version && more.length === 0 ? { id, version } : undefined;
  }

  /** Kind and id in the ARN of a group or definition. */
  parseContainer(arn: string): { kind: Kind; id: string } | undefined {
    const groupId = this.#pathOf(arn, '/greengrass/groups/');
    if (groupId) return { kind: 'groups', id: groupId };
    for (const kind of DEFINITION_KINDS) {
      const id = this.#pathOf(arn, `/greengrass/definition/${kind}/`);
      if (id) return { kind, id };
    }
    return undefined;
  }

  #pathOf(arn: string, path: string): string | undefined {
    const start = this.#prefix + path;
    return arn.startsWith(start) ? arn.slice(start.length) : undefined;
  }
}

/** DEF: what a creation answers, and each item of a list. */
export function describeContainer(arns: GreengrassArns, container: Container): object {
  const { kind, id, latestVersion, name } = container;
  return {
    Arn: arns.container(kind, id),
    CreationTimestamp: container.createdAt,
    Id: id,
    LastUpdatedTimestamp: container.updatedAt,
    ...(latestVersion === undefined
      ? {}
      : { LatestVersion: latestVersion, LatestVersionArn: arns.version(kind, id, latestVersion) }),
    ...(name === undefined ? {} : { Name: name }),
  };
}

/** VER: what the creation of a version answers, and each item of a list. */
export function describeVersion(arns: GreengrassArns, version: ContainerVersion): object {
  return {
    Arn: arns.version(version.kind, version.id, version.version),
    CreationTimestamp: version.createdAt,
    Id: version.id,
    Version: version.version,
  };
}

/** The new name in an update. Looked at before the id; an absent or empty one changes nothing, which is refused. */
export function newName(kind: Kind, body: { Name?: string | undefined }): string {
  if (body.Name) return body.Name;
  if (kind === 'resources') throw refusal('InvalidInputException', 'Invalid resource name.');
  throw refusal('InvalidContainerDefinitionException', 'Input does not contain any attributes to be updated');
}
