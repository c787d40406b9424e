/** The group document of a deployment: fetched, proven by the digest of the notice, understood. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { checkJson } from '../../lib/check.js';
import type { DeploymentNotice } from '../../model/deployment.js';
import { type GroupDocument, groupDocument } from '../../model/group.js';
import { DeploymentError } from '../errors.js';
import type { ServiceClient } from '../service-client.js';

/** Rejects with DocumentDownloadFailed, whose cause is the service's error. */
export async function fetchDocument(
  service: Pick<ServiceClient, 'groupDocument'>,
  { groupId, deploymentId }: DeploymentNotice,
  signal: AbortSignal,
): Promise<Buffer> {
  try {
    return await service.groupDocument(groupId, deploymentId, signal);
  } catch (error) {
    throw new DeploymentError(
      'DocumentDownloadFailed',
      `unable to execute download step in deployment. error while downloading: error while downloading the Group definition file: ${(error as Error).message}`,
      { cause: error },
    );
  }
}

/** Throws DeploymentError where the bytes are not those that the notice means, or no group. */
export function readDocument(bytes: Buffer, { documentSha256 }: DeploymentNotice): GroupDocument {
  const digest = createHash('sha256').update(bytes).digest();
  if (documentSha256 === undefined || !timingSafeEqual(digest, Buffer.from(documentSha256, 'hex'))) {
    throw new DeploymentError(
      'DocumentDigestMismatch',
      `the group document does not have the digest that the notice names: SHA-256 is ${digest.toString('hex')}, but must be ${documentSha256}`,
    );
  }
  try {
    return checkJson(groupDocument, bytes.toString('utf8'), 'group document');
  } catch (error) {
    throw new DeploymentError(
      'DocumentInvalid',
      `unable to execute download step in deployment. error while processing: unable to load the group file downloaded: ${(error as Error).message}`,
      { cause: error },
    );
  }
}
