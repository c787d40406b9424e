/** What a core asks for with its certificate: its deployment, code, server certificate, connectivity (WIRE.md §2). */
import { CheckError, checkJson, z } from '../../lib/check.js';
import { thingArn } from '../../model/arn.js';
import { groupDocument, isModelResource, secretResources } from '../../model/group.js';
import { DelegationRefused, RequestRefused } from '../authority/group-authorities.js';
import { mayDo } from '../iot/device-identity.js';
import type { Deployment } from '../store/store.js';
import { artifactAnswer } from './artifact-answer.js';
import { type Answer, type Call, HttpRefusal, json, variablesOf } from './call.js';
import type { DeviceHttpsOptions, Route } from './https-server.js';

/** V1 keeps ten endpoints of a core. */
const MAX_ENDPOINTS = 10;

const csrBody = z.object({ csr: z.string().max(16_384) });
const connectivityBody = z.object({
  ConnectivityInfo: z.array(
    z.object({
      Id: z.string().max(256).optional(),
      HostAddress: z.string().max(253).optional(),
      PortNumber: z.number().int().min(0).max(65535).optional(),
      Metadata: z.string().max(1024).optional(),
    }),
  ),
});

export function coreRoutes(options: DeviceHttpsOptions): Route[] {
  const route = (
    method: string,
    path: RegExp,
    handle: (o: DeviceHttpsOptions, call: Call) => Promise<Answer>,
  ): Route => ({
    method,
    path,
    handle: (call) => handle(options, call),
  });
  const deployment = '/greengrass/groups/([^/]+)/deployments/([^/]+)';
  const connectivity = /^\/greengrass\/connectivityInfo\/thing\/([^/]+)$/;
  return [
    route('GET', new RegExp(`^${deployment}$`), deploymentDocument),
    route('GET', new RegExp(`^${deployment}/artifacts/((?:lambda|mlmodel)/[0-9a-f]{64})$`), artifact),
    route('GET', new RegExp(`^${deployment}/secrets/([^/]+)$`), secret),
    route('POST', /^\/greengrass\/groups\/([^/]+)\/certificates$/, serverCertificate),
    route('POST', /^\/greengrass\/groups\/([^/]+)\/authorities$/, intermediate),
    route('GET', /^\/greengrass\/groups\/([^/]+)\/devices$/, devices),
    route('GET', connectivity, getConnectivity),
    route('PUT', connectivity, putConnectivity),
    // V1's data plane knew the update as a POST.
    route('POST', connectivity, putConnectivity),
  ];
}

/**
 * The peer's certificate must be that of one of the things, and its policies must allow the action. Answers the thing
 * that the peer speaks for.
 */
async function authorize(
  options: DeviceHttpsOptions,
  caller: Pick<Call, 'certificateId' | 'sourceIp'>,
  thingNames: ReadonlyArray<string | undefined>,
  action: string,
  resource: string,
): Promise<string> {
  const { store } = options;
  const { certificateId } = caller;
  const own = await store.things.thingsOf(certificateId);
  const thingName = own.find((name) => thingNames.includes(name));
  if (thingName !== undefined) {
    const request = { action, resource, variables: variablesOf(caller, thingName) };
    if (await mayDo(store, certificateId, request)) return thingName;
  }
  throw new HttpRefusal(403, `Forbidden: the certificate may not ${action} on ${resource}`);
}

async function findDeployment(
  options: DeviceHttpsOptions,
  call: Call,
  action: string,
): Promise<Deployment & { document: string }> {
  const { store, region, accountId } = options;
  const [groupId = '', deploymentId = ''] = call.parameters;
  const deployment = await store.deployments.find(groupId, deploymentId);
  const resource = `arn:aws:greengrass:${region}:${accountId}:/greengrass/groups/${groupId}/deployments/${deploymentId}`;
  await authorize(options, call, [deployment?.coreThingName], action, resource);
  if (!deployment?.document) throw new HttpRefusal(404, `Deployment '${deploymentId}' does not exist.`);
  return { ...deployment, document: deployment.document };
}

async function deploymentDocument(options: DeviceHttpsOptions, call: Call): Promise<Answer> {
  const { document, deploymentId, status } = await findDeployment(options, call, 'greengrass:GetDeployment');
  // Superseded, most likely by one to another core: this one must not begin with it.
  if (status === 'Failure') throw new HttpRefusal(404, `Deployment '${deploymentId}' has failed already.`);
  return { status: 200, body: Buffer.from(document) };
}

async function artifact(options: DeviceHttpsOptions, call: Call): Promise<Answer> {
  const { document } = await findDeployment(options, call, 'greengrass:GetDeploymentArtifacts');
  const name = call.parameters[2] as string;
  const digest = name.slice(name.indexOf('/') + 1);
  const size = holdsArtifact(document, name) ? await options.artifacts.size(digest) : undefined;
  if (size === undefined) throw new HttpRefusal(404, `artifact ${name} is not part of the deployment`);
  const contentType = name.startsWith('lambda/') ? 'application/zip' : 'application/octet-stream';
  return artifactAnswer(options.artifacts, { digest, size, range: call.range, contentType });
}

/** The values of a secret resource, one for each version that the deployment holds; who reads them is written down. */
async function secret(options: DeviceHttpsOptions, call: Call): Promise<Answer> {
  const deployment = await findDeployment(options, call, 'greengrass:GetDeploymentArtifacts');
  const resourceId = call.parameters[2] as string;
  const group = checkJson(groupDocument, deployment.document, 'group document');
  const resource = secretResources(group).find(({ Id }) => Id === resourceId);
  if (!resource) throw new HttpRefusal(404, `resource ${resourceId} is no secret of the deployment`);
  const { ARN, AdditionalStagingLabelsToDownload: labels = [] } = resource.Data;
  const versions = new Map<string, object>();
  for (const label of ['AWSCURRENT', ...labels]) {
    const value = await options.secrets.value(ARN, label);
    if (!value) throw new HttpRefusal(404, `secret ${ARN} with the staging label ${label} cannot be found`);
    const { versionId, stages, createdAt, text, binary } = value;
    const SecretBinary = binary === undefined ? {} : { SecretBinary: Buffer.from(binary).toString('base64') };
    versions.set(versionId, {
      VersionId: versionId,
      VersionStages: stages,
      CreatedDate: Date.parse(createdAt),
      ...(text === undefined ? SecretBinary : { SecretString: text }),
    });
  }
  await options.store.audit.add({
    ...{ at: new Date().toISOString(), requestId: crypto.randomUUID(), accessKeyId: call.certificateId },
    principal: thingArn(options.region, options.accountId, deployment.coreThingName ?? '-'),
    ...{
      remoteAddress: '-',
      service: 'secretsmanager',
      operation: 'GetSecretValue',
      resource: ARN,
      status: 200,
    },
  });
  return json({ ARN, Name: resource.Data.Name, Versions: [...versions.values()] });
}

/** True where a function or model of the group has this artifact; a digest in any other text counts for nothing. */
function holdsArtifact(document: string, name: string): boolean {
  const { GroupDefinitions } = checkJson(groupDocument, document, 'group document');
  return [
    ...GroupDefinitions.Lambdas.Content.map(({ ArtifactArn }) => ArtifactArn),
    ...GroupDefinitions.Resources.Content.filter(isModelResource).map(({ Data }) => Data.ArtifactArn),
  ].some((arn) => arn?.endsWith(`/artifacts/${name}`));
}

/** The core that the peer speaks for, where it runs the group or is being deployed it. */
async function coreOfGroup(options: DeviceHttpsOptions, call: Call, action: string): Promise<string> {
  const { store, region, accountId } = options;
  const [groupId = ''] = call.parameters;
  const [open, deployed] = await Promise.all([
    store.deployments.findOpen(groupId),
    store.deployments.findDeployed(groupId),
  ]);
  const resource = `arn:aws:greengrass:${region}:${accountId}:/greengrass/groups/${groupId}`;
  // The core that runs the group goes on renewing its certificate while a deployment, perhaps to another core, is open.
  const cores = [open?.coreThingName, deployed?.coreThingName];
  return authorize(options, call, cores, action, resource);
}

/** Whom of the group's devices the core must not let in, whatever the deployed group says. */
async function devices(options: DeviceHttpsOptions, call: Call): Promise<Answer> {
  await coreOfGroup(options, call, 'greengrass:GetDeployment');
  return json({ refused: await options.deviceNotices.refused(call.parameters[0] as string) });
}

async function serverCertificate(options: DeviceHttpsOptions, call: Call): Promise<Answer> {
  const { store, authorities } = options;
  const [groupId = ''] = call.parameters;
  const core = await coreOfGroup(options, call, 'greengrass:CreateCertificate');
  const { csr } = readJson(csrBody, call.body);
  const hosts = await hostsOf(store, core);
  try {
    return json(await authorities.signServerCertificate(groupId, csr, hosts));
  } catch (error) {
    if (error instanceof RequestRefused) throw new HttpRefusal(400, error.message);
    throw error;
  }
}

/** An intermediate CA for the core, where the operator delegates one. */
async function intermediate(options: DeviceHttpsOptions, call: Call): Promise<Answer> {
  const { store, authorities } = options;
  const [groupId = ''] = call.parameters;
  const core = await coreOfGroup(options, call, 'greengrass:CreateCertificate');
  const { csr } = readJson(csrBody, call.body);
  try {
    const signed = await authorities.signIntermediate(groupId, csr, core);
    return json({ ...signed, hosts: await hostsOf(store, core) });
  } catch (error) {
    if (error instanceof DelegationRefused) throw new HttpRefusal(403, error.message);
    if (error instanceof RequestRefused) throw new HttpRefusal(400, error.message);
    throw error;
  }
}

/** Addresses of the core that discovery gives. */
async function hostsOf(store: DeviceHttpsOptions['store'], core: string): Promise<string[]> {
  const endpoints = (await store.connectivity.find(core))?.endpoints ?? [];
  return endpoints.flatMap(({ HostAddress }) => HostAddress ?? []);
}

async function getConnectivity(options: DeviceHttpsOptions, call: Call): Promise<Answer> {
  const thingName = await authorizeThing(options, call, 'greengrass:GetConnectivityInfo');
  const found = await options.store.connectivity.find(thingName);
  return json({ ConnectivityInfo: found?.endpoints ?? [], version: found?.version ?? '' });
}

async function putConnectivity(options: DeviceHttpsOptions, call: Call): Promise<Answer> {
  const thingName = await authorizeThing(options, call, 'greengrass:UpdateConnectivityInfo');
  const { ConnectivityInfo: endpoints } = readJson(connectivityBody, call.body);
  if (endpoints.length > MAX_ENDPOINTS) {
    throw new HttpRefusal(
      400,
      'Too many items in the Connectivity Information list. You can store a maximum of 10 endpoints.',
    );
  }
  const version = crypto.randomUUID();
  const present = endpoints.map((endpoint) =>
    Object.fromEntries(Object.entries(endpoint).filter(([, value]) => value !== undefined)),
  );
  await options.store.connectivity.put(thingName, version, present);
  return json({ version });
}

async function authorizeThing(options: DeviceHttpsOptions, call: Call, action: string): Promise<string> {
  const [thingName = ''] = call.parameters;
  const resource = thingArn(options.region, options.accountId, thingName);
  return authorize(options, call, [thingName], action, resource);
}

function readJson<S extends z.ZodType>(schema: S, body: Buffer): z.output<S> {
  try {
    return checkJson(schema, body.toString('utf8'), 'body');
  } catch (error) {
    if (error instanceof CheckError) throw new HttpRefusal(400, error.message);
    throw error;
  }
}
