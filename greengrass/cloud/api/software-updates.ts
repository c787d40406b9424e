/** Software updates of cores: CreateSoftwareUpdateJob makes a job of AWS IoT, which the cores' OTA agents look for. */
import { randomUUID } from 'node:crypto';
import type { CreateSoftwareUpdateJobRequest } from '@aws-sdk/client-greengrass';
import {
  compareSoftwareVersions,
  type SoftwareUpdateJob,
  UPDATE_OPERATION,
} from '../../model/software-version.js';
import type { Job } from '../store/jobs.js';
import type { SoftwarePackage } from '../store/software.js';
import type { ApiContext } from './context.js';
import { refusal } from './errors.js';
import type { Operation } from './operation.js';
import { body } from './request-shapes.js';
import { ROLE_ARN } from './roles.js';
import { thingsOfTargets } from './update-targets.js';

const creation = body<CreateSoftwareUpdateJobRequest>('CreateSoftwareUpdateJob');

/** Operating systems with the processors that V1 made packages for. */
const PLATFORMS: Readonly<Record<string, readonly string[]>> = {
  ubuntu: ['x86_64', 'aarch64'],
  amazon_linux: ['x86_64'],
  raspbian: ['armv7l', 'armv6l'],
  openwrt: ['aarch64', 'armv7l'],
};

/** The system of packages that serve every system with the GNU C library; OpenWrt has another one. */
const ANY_LINUX = 'linux';
const OWN_C_LIBRARY = 'openwrt';

export function softwareUpdateOperations(context: ApiContext): Operation[] {
  const { store, jobs, region, accountId } = context;
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
        const thingNames = await thingsOfTargets(context, request.UpdateTargets);
        const software = newest(await store.software.list(), system, architecture);
        if (!software) {
          throw refusal(
            'BadRequestException',
            `There is no package of the core software for ${system} on ${architecture} here: put one in with greengrass-cloud software add.`,
          );
        }
        const { version, sha256, size, signature } = software;
        const jobId = `GreengrassUpdateJob_${randomUUID()}`;
        const document: SoftwareUpdateJob = {
          operation: UPDATE_OPERATION,
          software: request.SoftwareToUpdate,
          version,
          operatingSystem: system,
          architecture,
          logLevel: request.UpdateAgentLogLevel ?? 'ERROR',
          package: {
            path: `/greengrass/jobs/${jobId}/software/${sha256}`,
            ...{ version, sha256, size, signature },
          },
        };
        const job: Job = {
          jobId,
          createdAt: new Date().toISOString(),
          status: 'IN_PROGRESS',
          description: `This job was created by Greengrass to update the Greengrass Cores in the targets with version ${version} of the core software running on ${architecture} architecture.`,
          targets: request.UpdateTargets,
          document: JSON.stringify(document),
        };
        await jobs.create(job, thingNames);
        return {
          IotJobArn: `arn:aws:iot:${region}:${accountId}:job/${jobId}`,
          IotJobId: jobId,
          PlatformSoftwareVersion: version,
        };
      },
    },
  ];
}

/** V1 updates to the newest version always. A package of the very system comes before one for all. */
function newest(
  packages: readonly SoftwarePackage[],
  system: string,
  architecture: string,
): SoftwarePackage | undefined {
  const fitting = packages.filter(
    (one) =>
      one.architecture === architecture &&
      (one.operatingSystem === system || (one.operatingSystem === ANY_LINUX && system !== OWN_C_LIBRARY)),
  );
  return fitting.sort(
    (a, b) =>
      compareSoftwareVersions(b.version, a.version) ||
      Number(a.operatingSystem === ANY_LINUX) - Number(b.operatingSystem === ANY_LINUX),
  )[0];
}
