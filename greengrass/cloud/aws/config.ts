/**
 * The file that makes an installation hybrid (`greengrass-cloud start --aws FILE`): which parts are left to AWS, and how
 * they are reached. docs/hybrid.md tells it to people.
 */
import { readFileSync } from 'node:fs';
import { CheckError, checkJson, z } from '../../lib/check.js';

/** What can be taken from AWS in place of from here. */
const AWS_PARTS = ['iot', 'lambda', 'secretsManager', 's3', 'sageMaker'] as const;
export type AwsPart = (typeof AWS_PARTS)[number];

const endpoint = z.url({
  protocol: /^https?$/,
  error: 'must be an address such as https://iot.us-east-1.amazonaws.com',
});

const credentials = z.strictObject({
  accessKeyId: z.string().min(16).max(128),
  secretAccessKey: z.string().min(1),
  sessionToken: z.string().min(1).optional(),
});

const hybridFile = z.strictObject({
  region: z
    .string()
    .regex(/^[a-z0-9-]{1,32}$/, 'must be the name of a region, such as us-east-1')
    .refine(
      (region) => !/^(cn|us-gov|us-iso)/.test(region),
      'must be a region of the partition aws: the ARNs here are of that partition only',
    ),
  /** The account that ARNs carry; the installation takes it over. */
  accountId: z.string().regex(/^\d{12}$/, 'must be the twelve digits of an AWS account'),
  use: z
    .array(z.enum(AWS_PARTS, `must be one of ${AWS_PARTS.join(', ')}`))
    .min(1, `must name at least one of ${AWS_PARTS.join(', ')}`)
    .transform((parts): ReadonlySet<AwsPart> => new Set(parts)),
  /** Absent for AWS itself: its SDK knows them, and AWS IoT tells the one of its data plane. */
  endpoints: z
    .strictObject({
      iot: endpoint.optional(),
      iotData: endpoint.optional(),
      lambda: endpoint.optional(),
      secretsManager: endpoint.optional(),
      s3: endpoint.optional(),
      sageMaker: endpoint.optional(),
    })
    .default({}),
  /** Absent: environment, shared files, container or instance role, in the SDK's order. */
  credentials: credentials.optional(),
});

export type AwsConfig = z.output<typeof hybridFile>;

/** The text of the file, checked. Throws a CheckError that names the file and every wrong member. */
export function parseAwsConfig(text: string, file: string): AwsConfig {
  return checkJson(hybridFile, text, file);
}

/** Reads and checks the file. Throws CheckError. */
export function readAwsConfig(file: string): AwsConfig {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new CheckError(file, [{ path: '', rule: `can't be read (${(error as Error).message})` }]);
  }
  return parseAwsConfig(text, file);
}
