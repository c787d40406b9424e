/**
 * What our own API says of the services that a hybrid installation leaves to AWS. Answers from our store would be about
 * things, certificates and functions that no deployment knows.
 */
import type { AwsConfig, AwsPart } from './config.js';

/** Parts by the names of the services of our API. */
const PART_OF_SERVICE: Readonly<Record<string, AwsPart>> = {
  iot: 'iot',
  iotdata: 'iot',
  lambda: 'lambda',
  secretsmanager: 'secretsManager',
  s3: 's3',
};

const TITLES: Readonly<Record<AwsPart, string>> = {
  iot: 'AWS IoT',
  lambda: 'AWS Lambda',
  secretsManager: 'AWS Secrets Manager',
  s3: 'Amazon S3',
  sageMaker: 'Amazon SageMaker',
};

/** Greengrass's own, but its jobs would lie here and cores would look for them at AWS IoT. */
const NEEDS_OUR_JOBS = 'CreateSoftwareUpdateJob';

/** Why our API refuses the service's operation; undefined where it does not. */
export function leftToAws(
  { use, region, accountId }: AwsConfig,
  service: string,
  operation: string,
): string | undefined {
  if (operation === NEEDS_OUR_JOBS && use.has('iot')) {
    return `This installation is hybrid: jobs are AWS IoT's, and ${operation} can't make one there. Create a job at AWS IoT, or update cores by their packages.`;
  }
  const part = Object.hasOwn(PART_OF_SERVICE, service) ? PART_OF_SERVICE[service] : undefined;
  if (part === undefined || !use.has(part)) return undefined;
  return `This installation is hybrid: ${TITLES[part]} is AWS's own. Send this request to AWS (region ${region}, account ${accountId}), not to greengrass-cloud.`;
}
