/**
 * The audit log: what changed something, or was refused, and who asked for it. An entry is durable before the caller has
 * the answer. Who can't prove to be somebody is in the program's log only: strangers must not fill the database.
 */
import type { Request, Response } from 'express';
import { principalOf } from './authentication.js';
import type { ApiContext } from './context.js';
import type { Operation } from './operation.js';
import { serviceOf } from './services.js';

export interface AuditedResult {
  readonly status: number;
  readonly type?: string | undefined;
  readonly message?: string;
}

const MAX_TEXT = 1024;

/** Answers how to write down a result of the operation; does nothing for those that only read. */
export async function recordResult(
  { store, log }: ApiContext,
  operation: Operation,
  request: Request,
  response: Response,
  { status, type, message }: AuditedResult,
): Promise<void> {
  if (operation.isPublic || operation.isReading || operation.method === 'GET') return;
  const { arn, accessKeyId } = principalOf(response);
  const entry = {
    at: new Date().toISOString(),
    requestId: String(response.getHeader('x-amzn-RequestId')),
    principal: arn,
    accessKeyId,
    remoteAddress: request.socket.remoteAddress ?? '-',
    service: serviceOf(request).name,
    operation: operation.name,
    resource: request.path.slice(0, MAX_TEXT),
    status,
    ...(type === undefined ? {} : { errorType: type }),
    ...(message === undefined ? {} : { errorMessage: message.slice(0, MAX_TEXT) }),
  };
  log.info(entry, 'write');
  await store.audit.add(entry);
}
