/** The resources of a group, each in the spelling of the group document. */
import { z } from '../../lib/check.js';
import type { GroupProblem } from '../../model/group-checks.js';
import { ObjectError } from '../store/object-source.js';
import type { SecretSource, SecretValue } from '../store/secret-source.js';
import type { DeploymentPlace } from './build-functions.js';
import type { ResourceEntry } from './definition-reader.js';
import type { KeptModel, ModelShelf } from './models.js';

const secretData = z.object({
  ARN: z.string().optional(),
  AdditionalStagingLabelsToDownload: z.array(z.string()).optional(),
});

const RESOURCE_TYPES: Readonly<Record<string, 'LOCAL_VOLUME' | 'LOCAL_DEVICE'>> = {
  LocalVolumeResourceData: 'LOCAL_VOLUME',
  LocalDeviceResourceData: 'LOCAL_DEVICE',
};

const model = {
  DestinationPath: z.string().default(''),
  OwnerSetting: z.object({}).loose().optional(),
};
const s3Model = z.object({ S3Uri: z.string().default(''), ...model });
const sageMakerModel = z.object({ SageMakerJobArn: z.string().default(''), ...model });

export interface ResourceBuilderOptions {
  readonly secrets: SecretSource;
  readonly models: Pick<ModelShelf, 'fromS3' | 'fromJob'>;
  readonly region: string;
  readonly accountId: string;
}

/** What can't be built goes to `problems`. */
export class ResourceBuilder {
  constructor(private readonly options: ResourceBuilderOptions) {}

  async build(resource: ResourceEntry, place: DeploymentPlace, problems: GroupProblem[]): Promise<object[]> {
    const { ResourceDataContainer: container } = resource;
    if (Object.keys(container).length !== 1) return toResource(resource, problems);
    const {
      SecretsManagerSecretResourceData: secret,
      S3MachineLearningModelResourceData: s3,
      SageMakerMachineLearningModelResourceData: sageMaker,
    } = container;
    if (secret) return this.#secret(resource, secret, problems);
    if (s3) return this.#s3Model(resource, s3, place, problems);
    if (sageMaker) return this.#sageMakerModel(resource, sageMaker, place, problems);
    return toResource(resource, problems);
  }

  async #s3Model(entry: ResourceEntry, content: object, place: DeploymentPlace, problems: GroupProblem[]) {
    const data = s3Model.parse(content);
    const found = await this.#find(entry, problems, this.options.models.fromS3(data.S3Uri));
    return this.#model(entry, 'ML_MODEL_S3_OBJECT', 'S3MachineLearningModelResourceData', data, place, found);
  }

  async #sageMakerModel(
    entry: ResourceEntry,
    content: object,
    place: DeploymentPlace,
    problems: GroupProblem[],
  ) {
    const data = sageMakerModel.parse(content);
    const found = await this.#find(entry, problems, this.options.models.fromJob(data.SageMakerJobArn));
    const type = 'SageMakerMachineLearningModelResourceData';
    return this.#model(entry, 'ML_MODEL_SAGEMAKER_JOB', type, data, place, found);
  }

  async #find({ Id }: ResourceEntry, problems: GroupProblem[], search: Promise<KeptModel>) {
    try {
      return await search;
    } catch (error) {
      if (!(error instanceof ObjectError)) throw error;
      problems.push({
        code: 'MODEL_NOT_FOUND_ERROR',
        message: `The model of resource ${Id} cannot be had: ${error.message}`,
      });
      return undefined;
    }
  }

  #model(
    { Id, Name }: ResourceEntry,
    Type: string,
    type: string,
    data: object,
    { groupId, deploymentId }: DeploymentPlace,
    found: KeptModel | undefined,
  ): object[] {
    if (!found) return [];
    const { region, accountId } = this.options;
    const { sha256Hex, sizeBytes: Size, fileName: FileName } = found;
    const ArtifactArn = `arn:aws:greengrass:${region}:${accountId}:/greengrass/groups/${groupId}/deployments/${deploymentId}/artifacts/mlmodel/${sha256Hex}`;
    return [{ Id, Name, Type, Data: { type, ...data, ArtifactArn, Size, FileName } }];
  }

  async #secret(resource: ResourceEntry, data: object, problems: GroupProblem[]): Promise<object[]> {
    const { ARN = '', AdditionalStagingLabelsToDownload: labels = [] } = secretData.parse(data);
    const versions = new Map<string, SecretValue>();
    for (const label of new Set(['AWSCURRENT', ...labels])) {
      const value = await this.options.secrets.value(ARN, label);
      if (value) versions.set(value.versionId, value);
      else {
        problems.push({
          code: 'SECRET_NOT_FOUND_ERROR',
          message: `Secret ${ARN} of resource ${resource.Id} cannot be found, or has no version with the staging label ${label}`,
        });
      }
    }
    const [first] = versions.values();
    if (!first) return [];
    return [
      {
        Id: resource.Id,
        Name: resource.Name,
        Type: 'SECRETS_MANAGER_SECRET',
        Data: {
          type: 'SecretsManagerSecretResourceData',
          ARN: first.arn,
          ...(labels.length > 0 ? { AdditionalStagingLabelsToDownload: labels } : {}),
          Name: first.name,
          Versions: [...versions.values()].map(({ versionId, stages }) => ({
            VersionId: versionId,
            Stages: stages,
          })),
        },
      },
    ];
  }
}

function toResource({ Id, Name, ResourceDataContainer }: ResourceEntry, problems: GroupProblem[]): object[] {
  const entries = Object.entries(ResourceDataContainer);
  const [kind, data] = entries[0] ?? [];
  const type = kind !== undefined && Object.hasOwn(RESOURCE_TYPES, kind) ? RESOURCE_TYPES[kind] : undefined;
  if (entries.length === 1 && type !== undefined)
    return [{ Id, Name, Type: type, Data: { type: kind, ...data } }];
  problems.push({
    code: 'RESOURCE_TYPE_UNEXPECTED_ERROR',
    message: `Resource ${Id} is of a kind that is not available on this service: ${entries.map(([name]) => name).join(', ') || 'none'}`,
  });
  return [];
}
