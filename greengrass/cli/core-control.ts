/** Speaks to a running core of this machine through its control socket. Not the cloud's API: no keys, root only. */

import { readFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { checkJson, z } from '../lib/check.js';
import { unpackedRoot } from '../lib/package-root.js';
import { socketPath } from '../lib/unix-socket.js';
import { controlSocketPath } from '../model/control-socket.js';
import { parseCoreConfig } from '../model/core-config.js';

/** The tree that gg came with, as greengrassd has it; else V1's place of the installation. */
export const DEFAULT_ROOT = unpackedRoot() ?? '/greengrass';

/** The core does not run, can't be reached, or refused; the message says what to do. */
export class CoreControlError extends Error {
  override readonly name = 'CoreControlError';
  constructor(
    message: string,
    /** HTTP status of a refusal. */
    readonly status?: number,
  ) {
    super(message);
  }
}

export interface CoreControl {
  /** Answers the JSON body. Throws CoreControlError. */
  call(method: string, path: string, body?: unknown): Promise<unknown>;
  /** Items of an endless answer, one by one; leave the loop to end it. Throws CoreControlError. */
  follow(path: string, signal?: AbortSignal): AsyncGenerator<unknown>;
}

/** `root`: the greengrass root that the core was started with. */
export function coreControl(root: string): CoreControl {
  const path = controlSocketPath(writeDirectoryOf(root));
  return {
    async call(method, url, body) {
      const response = await open(path, method, url, body);
      return JSON.parse(await textOf(response));
    },
    async *follow(url, signal) {
      const response = await open(path, 'GET', url);
      const leave = () => response.destroy();
      signal?.addEventListener('abort', leave, { once: true });
      try {
        // It may have come before there was an answer: nobody would be told any more.
        if (signal?.aborted) return;
        for await (const line of linesOf(response)) yield JSON.parse(line);
      } catch (error) {
        if (!signal?.aborted) throw ended(error as Error);
      } finally {
        signal?.removeEventListener('abort', leave);
        response.destroy();
      }
    },
  };
}

function writeDirectoryOf(root: string): string {
  const file = join(root, 'config', 'config.json');
  try {
    return parseCoreConfig(readFileSync(file, 'utf8'), { root, file }).config.writeDirectory;
  } catch (error) {
    throw new CoreControlError(`no core at ${root}: ${(error as Error).message}; name its root with --root`);
  }
}

async function open(path: string, method: string, url: string, body?: unknown): Promise<IncomingMessage> {
  const text = body === undefined ? '' : JSON.stringify(body);
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    let address: ReturnType<typeof socketPath>;
    try {
      address = socketPath(path);
    } catch (error) {
      reject(unreachable(path, error as NodeJS.ErrnoException));
      return;
    }
    const call = request(
      {
        socketPath: address.path,
        method,
        path: url,
        agent: false,
        headers: { 'Content-Type': 'application/json' },
      },
      resolve,
    );
    call.once('error', (error) => reject(unreachable(path, error)));
    call.once('close', () => address.release());
    call.end(text);
  });
  const status = response.statusCode ?? 0;
  if (status < 400) return response;
  throw new CoreControlError(messageOf(await textOf(response), status), status);
}

async function* linesOf(response: IncomingMessage): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of response.setEncoding('utf8') as AsyncIterable<string>) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() as string;
    yield* lines;
  }
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

function messageOf(text: string, status: number): string {
  try {
    return checkJson(z.object({ message: z.string() }), text, 'answer of the core').message;
  } catch {
    return `the core answered with status ${status}`;
  }
}

function unreachable(path: string, { code, message }: NodeJS.ErrnoException): CoreControlError {
  if (code === 'EACCES') return new CoreControlError(`${path} is open to root only: use sudo`);
  if (code === 'ENOENT' || code === 'ECONNREFUSED') {
    return new CoreControlError(`nothing listens on ${path}: is the core running (greengrassd status)?`);
  }
  return new CoreControlError(`${path}: ${message}`);
}

function ended({ message }: Error): CoreControlError {
  return new CoreControlError(`the core ended the conversation (${message}): did it stop?`);
}
