/** ARNs as V1 writes them: parse, build, and the fixed names of the system functions. */

/** A Lambda function's ARN. System functions have an empty region and account; connectors the account `aws`. */
export interface FunctionArn {
  readonly partition: string;
  readonly region: string;
  readonly accountId: string;
  readonly name: string;
  /** Version number, alias or `$LATEST`; absent in an unqualified ARN. */
  readonly qualifier?: string;
}

const FUNCTION_ARN =
  /^arn:(aws[a-z-]*):lambda:([a-z0-9-]*):([A-Za-z0-9]*):function:([A-Za-z0-9_-]{1,140})(?::(\$LATEST|[A-Za-z0-9_-]+))?$/;
const THING_ARN = /^arn:(aws[a-z-]*):iot:([a-z0-9-]+):(\d+):thing\/([a-zA-Z0-9:_-]{1,128})$/;
const CERTIFICATE_ARN = /^arn:(aws[a-z-]*):iot:([a-z0-9-]+):(\d+):cert\/([0-9a-zA-Z]{1,64})$/;
const CONNECTOR_ARN =
  /^arn:(aws[a-z-]*):greengrass:([a-z0-9-]+):(\d*):\/connectors\/([A-Za-z0-9_-]+)\/versions\/(\d+)$/;
const GROUP_VERSION_ARN =
  /^arn:(aws[a-z-]*):greengrass:([a-z0-9-]+):(\d+):\/greengrass\/groups\/([^/]+)\/versions\/([^/]+)$/;

export const SYSTEM_FUNCTIONS = {
  router: 'arn:aws:lambda:::function:GGRouter',
  shadow: 'arn:aws:lambda:::function:GGShadowService',
  secrets: 'arn:aws:lambda:::function:GGSecretManager:1',
  spooler: 'arn:aws:lambda:::function:GGCloudSpooler:1',
  ipDetector: 'arn:aws:lambda:::function:GGIPDetector:1',
  streamManager: 'arn:aws:lambda:::function:GGStreamManager:1',
} as const;

export function parseFunctionArn(arn: string): FunctionArn | undefined {
  const match = FUNCTION_ARN.exec(arn);
  if (!match) return undefined;
  const [, partition, region, accountId, name, qualifier] = match as unknown as string[];
  return {
    partition: partition as string,
    region: region as string,
    accountId: accountId as string,
    name: name as string,
    ...(qualifier === undefined ? {} : { qualifier }),
  };
}

/** True for `arn:aws:lambda:::function:GG…`, with or without `:1`. */
export function isSystemFunctionArn(arn: string): boolean {
  const parsed = parseFunctionArn(arn);
  return parsed !== undefined && parsed.region === '' && parsed.accountId === '';
}

/** True where both name the same system function; V1's guide writes them with and without `:1`. */
export function isSameSystemFunction(a: string, b: string): boolean {
  return isSystemFunctionArn(a) && parseFunctionArn(a)?.name === parseFunctionArn(b)?.name;
}

export function thingArn(region: string, accountId: string, thingName: string): string {
  return `arn:aws:iot:${region}:${accountId}:thing/${thingName}`;
}

export function certificateArn(region: string, accountId: string, certificateId: string): string {
  return `arn:aws:iot:${region}:${accountId}:cert/${certificateId}`;
}

/** Thing name, or undefined where the text is no thing ARN. */
export function thingNameOf(arn: string): string | undefined {
  return THING_ARN.exec(arn)?.[4];
}

export function isThingArn(arn: string): boolean {
  return THING_ARN.test(arn);
}

/** Region and account of a thing ARN. */
export function parseThingArn(
  arn: string,
): { partition: string; region: string; accountId: string; thingName: string } | undefined {
  const match = THING_ARN.exec(arn);
  if (!match) return undefined;
  const [, partition, region, accountId, thingName] = match as unknown as [
    string,
    string,
    string,
    string,
    string,
  ];
  return { partition, region, accountId, thingName };
}

/** The certificate's id (SHA-256 of its DER form, hex), or undefined where the text is no certificate ARN. */
export function certificateIdOfArn(arn: string): string | undefined {
  return CERTIFICATE_ARN.exec(arn)?.[4];
}

export function isConnectorArn(arn: string): boolean {
  return CONNECTOR_ARN.test(arn);
}

export function groupVersionArn(
  region: string,
  accountId: string,
  groupId: string,
  versionId: string,
): string {
  return `arn:aws:greengrass:${region}:${accountId}:/greengrass/groups/${groupId}/versions/${versionId}`;
}

/** Group id and version id of a group version's ARN. */
export function parseGroupVersionArn(
  arn: string,
): { region: string; accountId: string; groupId: string; versionId: string } | undefined {
  const match = GROUP_VERSION_ARN.exec(arn);
  if (!match) return undefined;
  const [, , region, accountId, groupId, versionId] = match as unknown as string[];
  return {
    region: region as string,
    accountId: accountId as string,
    groupId: groupId as string,
    versionId: versionId as string,
  };
}
