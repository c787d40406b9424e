/**
 * Machine learning models of a group: how each is unpacked, under which name it lies on the core, and what functions may
 * do with it. No I/O; core and cloud share it.
 */
import { createHash } from 'node:crypto';
import { isSystemFunctionArn } from './arn.js';
import type { ResourceAccessPolicy } from './function-config.js';
import { type GroupDocument, type GroupFunction, isModelResource, type ModelResource } from './group.js';

export type ModelPermission = 'ro' | 'rw';
/** An archive is unpacked at the destination, any other file lies there under its own name. */
export type ModelFormat = 'tar.gz' | 'zip' | 'file';

function modelFormatOf(fileName: string): ModelFormat {
  if (/\.(tar\.gz|tgz)$/i.test(fileName)) return 'tar.gz';
  return /\.zip$/i.test(fileName) ? 'zip' : 'file';
}

/** SHA-256 of the artifact in hex. */
function modelDigest({ Data }: ModelResource): string {
  return Data.ArtifactArn.slice(Data.ArtifactArn.lastIndexOf('/') + 1);
}

/** What a function may do with a model: its own policy, else the model's owner setting; undefined where neither says. */
export function modelPermission(
  { Permission }: ResourceAccessPolicy,
  { Data }: ModelResource,
): ModelPermission | undefined {
  return Permission ?? Data.OwnerSetting?.GroupPermission;
}

/** A model as it lies on the core. Resources with the same place share it. */
export interface ModelPlace {
  /** Below `deployment`; the first segment is V1's name for models with an owner, or without. */
  readonly path: string;
  readonly digest: string;
  readonly sizeBytes: number;
  readonly fileName: string;
  readonly format: ModelFormat;
  /** Functions may change it. */
  readonly isWritable: boolean;
  /** GID or name; absent: only containers show it, whoever runs in them. */
  readonly groupOwner?: string;
}

/** All models of the group, by the id of their resource. What may be changed is nobody else's: it is not shared. */
export function modelPlaces(group: GroupDocument): Map<string, ModelPlace> {
  const written = new Set(
    group.GroupDefinitions.Lambdas.Content.filter((f) => !isSystemFunctionArn(f.FunctionArn)).flatMap(
      ({ DeploymentConfiguration }) =>
        (DeploymentConfiguration.Environment?.ResourceAccessPolicies ?? []).flatMap(
          ({ ResourceId, Permission }) => (Permission === 'rw' ? [ResourceId] : []),
        ),
    ),
  );
  return new Map(
    group.GroupDefinitions.Resources.Content.filter(isModelResource).map((resource) => [
      resource.Id,
      placeOf(resource, written.has(resource.Id)),
    ]),
  );
}

function placeOf(resource: ModelResource, isWritten: boolean): ModelPlace {
  const { FileName: fileName, Size: sizeBytes, OwnerSetting } = resource.Data;
  const groupOwner = OwnerSetting?.GroupOwner;
  const isWritable = isWritten || OwnerSetting?.GroupPermission === 'rw';
  const format = modelFormatOf(fileName);
  const digest = modelDigest(resource);
  const facts = [format === 'file' ? fileName : format, groupOwner ?? null, isWritable ? resource.Id : null];
  return {
    path: `${groupOwner === undefined ? 'mlmodel' : 'mlmodel_public'}/${digest}-${shortDigest(facts)}`,
    ...{ digest, sizeBytes, fileName, format, isWritable },
    ...(groupOwner === undefined ? {} : { groupOwner }),
  };
}

/** Where a function without a container finds its models: a folder with a link at each destination. */
export interface ModelLinks {
  /** Name of the folder, which is another one when the links are. */
  readonly name: string;
  readonly links: ReadonlyArray<{ readonly destination: string; readonly place: ModelPlace }>;
}

/** By function ARN, for the functions that have models; `isPlain`: runs without a container. */
export function modelLinks(
  group: GroupDocument,
  isPlain: (groupFunction: GroupFunction) => boolean,
): Map<string, ModelLinks> {
  const places = modelPlaces(group);
  const found = new Map<string, ModelLinks>();
  for (const groupFunction of group.GroupDefinitions.Lambdas.Content.filter(isPlain)) {
    const { FunctionArn, DeploymentConfiguration } = groupFunction;
    const policies = DeploymentConfiguration.Environment?.ResourceAccessPolicies ?? [];
    const links = group.GroupDefinitions.Resources.Content.filter(isModelResource).flatMap(({ Id, Data }) => {
      const place = places.get(Id);
      const isAttached = policies.some(({ ResourceId }) => ResourceId === Id);
      return place && isAttached ? [{ destination: Data.DestinationPath, place }] : [];
    });
    if (links.length === 0) continue;
    const facts = [FunctionArn, links.map(({ destination, place }) => [destination, place.path])];
    found.set(FunctionArn, { name: shortDigest(facts), links });
  }
  return found;
}

function shortDigest(facts: unknown): string {
  return createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, 16);
}

/** True where one of two absolute paths is the other, or lies below it. */
export function isNested(one: string, other: string): boolean {
  const [a, b] = [one, other].map((path) => `${path.replace(/\/+/g, '/').replace(/\/$/, '')}/`) as [
    string,
    string,
  ];
  return a.startsWith(b) || b.startsWith(a);
}
