/**
 * One shadow operation from request to answers, without I/O: what to store, what to answer, what to publish. Core and
 * cloud run the same code, so that the two services can't drift apart.
 */
import {
  deleteAccepted,
  deltaMessage,
  documentsMessage,
  getAccepted,
  rejected,
  updateAccepted,
} from './shadow-answers.js';
import {
  applyUpdate,
  parseShadowRequest,
  parseShadowUpdate,
  type ShadowDocument,
  ShadowRefusal,
} from './shadow-document.js';
import { type ShadowTopic, shadowTopic } from './topic.js';

export type ShadowOperation = ShadowTopic['operation'];

/** A shadow as it is kept: without a document after a deletion, its version counting on. */
export interface KeptShadow {
  readonly document?: ShadowDocument;
  readonly version: number;
}

export interface ShadowPublication {
  readonly topic: string;
  readonly payload: Buffer;
}

export interface ShadowOutcome {
  readonly accepted: boolean;
  /** 200, or AWS IoT's code of the refusal. */
  readonly code: number;
  /** Body of accepted or rejected. */
  readonly body: Buffer;
  /** To be stored, durably, before anything is answered; absent where nothing changed. */
  readonly store?: KeptShadow;
  /** To be published once it is stored, in order. */
  readonly publications: readonly ShadowPublication[];
}

/** `key` names the shadow (ShadowTopic.key); `nowS`: epoch seconds. Never throws for what a client can send. */
export function runShadowOperation(
  key: string,
  operation: ShadowOperation,
  payload: Uint8Array,
  kept: KeptShadow | undefined,
  nowS: number,
): ShadowOutcome {
  try {
    if (operation === 'get') return get(key, payload, kept, nowS);
    if (operation === 'delete') return remove(key, payload, kept, nowS);
    return update(key, payload, kept, nowS);
  } catch (error) {
    if (!(error instanceof ShadowRefusal)) throw error;
    return refuse(key, operation, error, nowS, clientTokenOf(payload));
  }
}

function get(key: string, payload: Uint8Array, kept: KeptShadow | undefined, nowS: number): ShadowOutcome {
  const { clientToken } = parseShadowRequest(payload);
  if (!kept?.document) throw noShadow(key);
  return accept(key, 'get', getAccepted(kept.document, nowS, clientToken));
}

function remove(key: string, payload: Uint8Array, kept: KeptShadow | undefined, nowS: number): ShadowOutcome {
  const { clientToken, version } = parseShadowRequest(payload);
  if (!kept?.document) throw noShadow(key);
  if (version !== undefined && version !== kept.version) throw new ShadowRefusal(409, 'Version conflict');
  return {
    ...accept(key, 'delete', deleteAccepted(kept.version, nowS, clientToken)),
    store: { version: kept.version },
  };
}

function update(key: string, payload: Uint8Array, kept: KeptShadow | undefined, nowS: number): ShadowOutcome {
  const request = parseShadowUpdate(payload);
  const document = applyUpdate(kept?.document, request, nowS, kept?.version ?? 0);
  const outcome = accept(key, 'update', updateAccepted(request, document, nowS));
  const publications = [...outcome.publications];
  const delta = deltaMessage(document, nowS, request.clientToken);
  if (delta) publications.push({ topic: shadowTopic(key, 'update', 'delta'), payload: delta });
  publications.push({
    topic: shadowTopic(key, 'update', 'documents'),
    payload: documentsMessage(kept?.document, document, nowS, request.clientToken),
  });
  return { ...outcome, store: { document, version: document.version }, publications };
}

function accept(key: string, operation: ShadowOperation, body: Buffer): ShadowOutcome {
  const topic = shadowTopic(key, operation, 'accepted');
  return { accepted: true, code: 200, body, publications: [{ topic, payload: body }] };
}

function refuse(
  key: string,
  operation: ShadowOperation,
  { code, message }: ShadowRefusal,
  nowS: number,
  clientToken: string | undefined,
): ShadowOutcome {
  const body = rejected(code, message, nowS, clientToken);
  const topic = shadowTopic(key, operation, 'rejected');
  return { accepted: false, code, body, publications: [{ topic, payload: body }] };
}

/** A refused request still gets its token back where it had one. */
export function clientTokenOf(payload: Uint8Array): string | undefined {
  try {
    const { clientToken } = JSON.parse(Buffer.from(payload).toString('utf8')) as { clientToken?: unknown };
    return typeof clientToken === 'string' && clientToken.length <= 64 ? clientToken : undefined;
  } catch {
    return undefined;
  }
}

function noShadow(key: string): ShadowRefusal {
  return new ShadowRefusal(404, `No shadow exists with name: '${key.replace('/', '~')}'`);
}
