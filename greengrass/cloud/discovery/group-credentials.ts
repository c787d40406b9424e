/**
 * `GET /greengrass/assumeRoleForGroup`: temporary credentials of the role of the group that the core runs. They sign
 * requests to this cloud's API, where such a caller has few rights; the refusals' texts are V1's.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mayDo } from '../iot/device-identity.js';
import { type Answer, type Call, HttpRefusal, json, variablesOf } from './call.js';
import type { DeviceHttpsOptions, Route } from './https-server.js';

/** AWS gives credentials of a role for an hour. */
const LIFE_MS = 60 * 60 * 1000;
/** So long the ended ones are known, to say to their users that they have ended. */
const KEPT_MS = 24 * LIFE_MS;

export function credentialRoutes(options: DeviceHttpsOptions): Route[] {
  return [
    {
      method: 'GET',
      path: /^\/greengrass\/assumeRoleForGroup\/?$/,
      handle: (call) => assumeRole(options, call),
    },
  ];
}

async function assumeRole(options: DeviceHttpsOptions, call: Call): Promise<Answer> {
  const { certificateId } = call;
  const { store, region, accountId } = options;
  const group = await groupOf(options, certificateId);
  if (!group) {
    throw new HttpRefusal(403, 'Your AWS IoT Certificate Needs to be deployed to a deployment group.');
  }
  const { groupId, thingName } = group;
  const resource = `arn:aws:greengrass:${region}:${accountId}:/greengrass/groups/${groupId}`;
  const request = {
    action: 'greengrass:AssumeRoleForGroup',
    resource,
    variables: variablesOf(call, thingName),
  };
  if (!(await mayDo(store, certificateId, request))) {
    throw new HttpRefusal(403, `Forbidden: the certificate may not ${request.action} on ${resource}`);
  }
  const role = await store.roles.find(groupId);
  if (!role) throw new HttpRefusal(404, 'You need to attach an IAM role to this deployment group.');
  const sessionToken = randomBytes(96).toString('base64');
  const session = {
    accessKeyId: `ASIA${randomId(16)}`,
    secretAccessKey: randomBytes(30).toString('base64'),
    roleArn: role.roleArn,
    sessionName: thingName,
    expiresAt: new Date(Date.now() + LIFE_MS).toISOString(),
  };
  const tokenSha256Hex = createHash('sha256').update(sessionToken).digest('hex');
  const forgotten = new Date(Date.now() - KEPT_MS).toISOString();
  await store.roleSessions.create({ ...session, tokenSha256Hex }, forgotten);
  return json({
    credentials: {
      accessKeyId: session.accessKeyId,
      secretAccessKey: session.secretAccessKey,
      sessionToken,
      expiration: session.expiresAt,
    },
    roleArn: role.roleArn,
  });
}

/** The group that a thing of the certificate is the core of, as deployed or as being deployed. */
async function groupOf({ store }: DeviceHttpsOptions, certificateId: string) {
  for (const thingName of await store.things.thingsOf(certificateId)) {
    const groupId = await store.deployments.findGroupOfCore(thingName);
    if (groupId !== undefined) return { groupId, thingName };
  }
  return undefined;
}

function randomId(length: number): string {
  // Five bits of each byte: every letter is as likely as the others.
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  return Array.from(randomBytes(length), (byte) => letters[byte & 31]).join('');
}
