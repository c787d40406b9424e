/** Model resources as CreateResourceDefinition takes and refuses them. */
import {
  CreateResourceDefinitionCommand,
  type GreengrassClient,
  type ResourceDataContainer,
} from '@aws-sdk/client-greengrass';
import { Cloud } from './harness.js';

let api: Cloud;
let client: GreengrassClient;
beforeAll(async () => {
  api = await Cloud.start();
  client = api.greengrass();
});
afterAll(async () => {
  client.destroy();
  await api.stop();
});

const create = (ResourceDataContainer: object) =>
  client.send(
    new CreateResourceDefinitionCommand({
      InitialVersion: {
        Resources: [
          { Id: 'm', Name: 'm', ResourceDataContainer: ResourceDataContainer as ResourceDataContainer },
        ],
      },
    }),
  );
const S3 = { S3Uri: 's3://models/m.zip', DestinationPath: '/models/m' };
const JOB = 'arn:aws:sagemaker:us-east-1:123456789012:training-job/cats-7';

it('are taken with and without an owner', async () => {
  const OwnerSetting = { GroupOwner: '1001', GroupPermission: 'ro' };
  await create({ S3MachineLearningModelResourceData: S3 });
  await create({ S3MachineLearningModelResourceData: { ...S3, OwnerSetting } });
  await create({
    SageMakerMachineLearningModelResourceData: { SageMakerJobArn: JOB, DestinationPath: '/m', OwnerSetting },
  });
});

it.each([
  [
    'half an owner',
    { ...S3, OwnerSetting: { GroupOwner: '1001' } },
    'InvalidMLModelOwner - GroupOwnerSetting is provided in ML model resource, but GroupOwner or GroupPermission is not present',
  ],
  [
    'an address of nothing',
    { ...S3, S3Uri: 'm.zip' },
    'S3Uri of a model must be the address of an object in S3, but got: m.zip',
  ],
  ['a path that climbs', { ...S3, DestinationPath: '/a/../..' }, 'Model destination path must be absolute'],
  ['the root as destination', { ...S3, DestinationPath: '/' }, 'Model destination path must be absolute'],
])('%s is refused', async (_what, data, message) => {
  await expect(create({ S3MachineLearningModelResourceData: data })).rejects.toThrow(message);
});

it('a job that is none is refused', async () => {
  const data = { SageMakerJobArn: 'cats', DestinationPath: '/m' };
  await expect(create({ SageMakerMachineLearningModelResourceData: data })).rejects.toThrow(
    'SageMakerJobArn of a model must be the ARN of a training job, but got: cats',
  );
});
