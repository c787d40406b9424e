/** Software updates of cores: CreateSoftwareUpdateJob makes a job of AWS IoT, which the cores' OTA agents look for. */
import { randomUUID } from 'node:crypto';
import type { CreateSoftwareUpdateJobRequest } from '@aws-sdk/client-greengrass';
import { VERSION } from '../../lib/package-root.js';
import { thingNameOf } from '../../model/arn.js';
import type { ApiContext } from './context.js';
import { refusal } from './errors.js';
import type { Operation } from './operation.js';
import { body } from './request-shapes.js';
import { ROLE_ARN } from './roles.js';

const creation = body<CreateSoftwareUpdateJobRequest>('CreateSoftwareUpdateJob');

/** Operating systems with the processors that V1 made packages for. */
const PLATFORMS: Readonly<Record<string, readonly string[]>> = {
  ubuntu: ['x86_64', 'aarch64'],
  amazon_linux: ['x86_64'],
  raspbian: ['armv7l', 'armv6l'],
  openwrt: ['aarch64', 'armv7l'],
};
const MAX_TARGETS = 100;

export function softwareUpdateOperations({ store, region, accountId }: ApiContext): Operation[] {
  return [
    {
      name: 'CreateSoftwareUpdateJob',
      method: 'POST',
      path: '/greengrass/updates',
      isIdempotent: true,
      handle: async (call) => {
        const request = call.json(creation);
        const { UpdateTargetsOperatingSystem: system, UpdateTargetsArchitecture: architecture } = request;
        if (!PLATFORMS[system]?.includes(architecture)) {
          throw refusal(
            'BadRequestException',
            `UpdateTargetsArchitecture: there is no software for ${system} on ${architecture}; for ${system} there is ${PLATFORMS[system]?.join(', ')}.`,
          );
        }
        if (!ROLE_ARN.test(request.S3UrlSignerRole)) {
          throw refusal('BadRequestException', 'S3UrlSignerRole: That role ARN is invalid.');
        }
        await checkTargets(request.UpdateTargets);
        const jobId = `GreengrassUpdateJob_${randomUUID()}`;
        const document = {
          operation: 'greengrass-software-update',
          software: request.SoftwareToUpdate,
          version: VERSION,
          operatingSystem: system,
          architecture,
          logLevel: request.UpdateAgentLogLevel ?? 'ERROR',
        };
        await store.jobs.create({
          jobId,
          createdAt: new Date().toISOString(),
          status: 'IN_PROGRESS',
          description: `This job was created by Greengrass to update the Greengrass Cores in the targets with version ${VERSION} of the core software running on ${architecture} architecture.`,
          targets: request.UpdateTargets,
          document: JSON.stringify(document),
        });
        return {
          IotJobArn: `arn:aws:iot:${region}:${accountId}:job/${jobId}`,
          IotJobId: jobId,
          PlatformSoftwareVersion: VERSION,
        };
      },
    },
  ];

  async function checkTargets(targets: readonly string[]): Promise<void> {
    if (targets.length === 0 || targets.length > MAX_TARGETS) {
      throw refusal('BadRequestException', `UpdateTargets: must be 1 to ${MAX_TARGETS} ARNs of things.`);
    }
    for (const target of targets) {
      const thing = await store.things.find(thingNameOf(target) ?? '');
      if (thing?.thingArn !== target) {
        throw refusal(
          'BadRequestException',
          `UpdateTargets: ${target} is not the ARN of a thing that exists.`,
        );
      }
    }
  }
}
