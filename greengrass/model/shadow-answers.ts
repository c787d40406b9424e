/** The bodies that a shadow service answers with, as AWS IoT's does. Pure; used by the core and by the cloud. */
import {
  deltaOf,
  type Json,
  type Metadata,
  type ShadowDocument,
  type ShadowUpdate,
} from './shadow-document.js';

function body(members: Record<string, unknown>): Buffer {
  return Buffer.from(JSON.stringify(members));
}

/** `…/get/accepted`: the whole document, with the delta where there is one. */
export function getAccepted(document: ShadowDocument, nowS: number, clientToken?: string): Buffer {
  const delta = deltaOf(document);
  return body({
    state: { ...document.state, ...(delta ? { delta: delta.state } : {}) },
    metadata: document.metadata,
    version: document.version,
    timestamp: nowS,
    clientToken,
  });
}

/** `…/update/accepted`: what was sent, with the metadata of that part. */
export function updateAccepted(update: ShadowUpdate, document: ShadowDocument, nowS: number): Buffer {
  const metadata: Record<string, unknown> = {};
  for (const part of ['desired', 'reported'] as const) {
    const sent = update.state[part];
    if (sent) metadata[part] = metadataOf(sent, document.metadata[part] ?? {});
  }
  return body({
    state: update.state,
    metadata,
    version: document.version,
    timestamp: nowS,
    clientToken: update.clientToken,
  });
}

function metadataOf(sent: { [key: string]: Json }, metadata: Metadata): Metadata {
  const picked: Metadata = Object.create(null);
  for (const [key, value] of Object.entries(sent)) {
    const stamp = metadata[key];
    if (stamp === undefined) continue;
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    picked[key] = isObject ? metadataOf(value, stamp as Metadata) : stamp;
  }
  return picked;
}

/** `…/update/delta`, or undefined where nothing differs. */
export function deltaMessage(
  document: ShadowDocument,
  nowS: number,
  clientToken?: string,
): Buffer | undefined {
  const delta = deltaOf(document);
  if (!delta) return undefined;
  return body({
    version: document.version,
    timestamp: nowS,
    state: delta.state,
    metadata: delta.metadata,
    clientToken,
  });
}

/** `…/update/documents`: before and after. */
export function documentsMessage(
  previous: ShadowDocument | undefined,
  current: ShadowDocument,
  nowS: number,
  clientToken?: string,
): Buffer {
  return body({
    previous: previous ?? null,
    current,
    timestamp: nowS,
    clientToken,
  });
}

/** `…/delete/accepted`. */
export function deleteAccepted(version: number, nowS: number, clientToken?: string): Buffer {
  return body({ version, timestamp: nowS, clientToken });
}

/** `…/<operation>/rejected`; the Core SDKs look for `code` and `message`. */
export function rejected(code: number, message: string, nowS: number, clientToken?: string): Buffer {
  return body({ code, message, timestamp: nowS, clientToken });
}
