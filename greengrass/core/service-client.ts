/**
 * HTTPS to the Greengrass service with the core's certificate: the requests of WIRE.md §2. Answers are bounded;
 * what may pass (network, 5xx, 429) is tried again with back-off, what will not is told at once.
 */
import { createWriteStream, existsSync, mkdirSync, rmSync, statSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { dirname } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { backoffMs } from '../lib/backoff.js';
import { CheckError, check, checkJson, z } from '../lib/check.js';
import { TunnelAgent } from '../lib/http-tunnel.js';
import type { Logger } from '../lib/log.js';
import { deviceList, type RefusedDevice } from '../model/device-list.js';
import { type NetworkProxy, proxyFor } from '../model/network-proxy.js';

const MAX_DOCUMENT_BYTES = 16 * 1024 * 1024;
const MAX_ANSWER_BYTES = 1024 * 1024;
/** AWS Lambda's limit for an unpacked function: no zip of one is larger. S3's for what is put into it at once. */
const MAX_ARTIFACT_BYTES = { lambda: 250 * 1024 * 1024, mlmodel: 5 * 1024 ** 3 } as const;
const ATTEMPTS = 5;
/** A server that says nothing for so long is gone. */
const IDLE_TIMEOUT_MS = 20_000;

/** A request to the service failed. `recoverable`: trying again later may help. */
export class ServiceError extends Error {
  override readonly name = 'ServiceError';
  constructor(
    message: string,
    readonly recoverable: boolean,
    options?: ErrorOptions & { readonly reason?: string },
  ) {
    super(message, options);
    this.reason = options?.reason ?? message;
  }

  /** The service's own words where it gave some. */
  readonly reason: string;
}

const connectivity = z.object({
  Id: z.string().optional(),
  HostAddress: z.string().optional(),
  PortNumber: z.number().optional(),
  Metadata: z.string().optional(),
});
export type ConnectivityEndpoint = z.output<typeof connectivity>;

const connectivityAnswer = z.object({ ConnectivityInfo: z.array(connectivity).default([]) });
const certificateAnswer = z.object({ certificatePem: z.string(), caPem: z.string(), expiresAt: z.string() });
const intermediateAnswer = z.object({
  certificatePem: z.string(),
  caPem: z.string(),
  expiresAt: z.string(),
  /** Addresses of the core that discovery gives. */
  hosts: z.array(z.string()),
  serverCertificateExpiryMs: z.number().int().min(1),
});
export type SignedIntermediate = z.output<typeof intermediateAnswer>;
export type SignedCertificate = z.output<typeof certificateAnswer>;
const credentialsAnswer = z.object({
  credentials: z.object({
    accessKeyId: z.string(),
    secretAccessKey: z.string(),
    sessionToken: z.string(),
    expiration: z.string().refine((time) => !Number.isNaN(Date.parse(time)), 'must be a time in ISO 8601'),
  }),
});
/** A secret of the group with its versions. */
export const deployedSecret = z.object({
  ARN: z.string(),
  Name: z.string(),
  Versions: z.array(
    z.object({
      VersionId: z.string(),
      VersionStages: z.array(z.string()),
      /** ms since the epoch. */
      CreatedDate: z.number(),
      SecretString: z.string().optional(),
      /** Base64. */
      SecretBinary: z.string().optional(),
    }),
  ),
});
export type DeployedSecret = z.output<typeof deployedSecret>;
/** Temporary credentials of the group's role. */
export type RoleCredentials = z.output<typeof credentialsAnswer>['credentials'];

export interface ServiceClientOptions {
  readonly host: string;
  readonly port: number;
  readonly caPem: string;
  readonly certPem: string;
  readonly keyPem: string;
  readonly proxy?: NetworkProxy;
  readonly logger: Logger;
  /** First delay between attempts in ms. */
  readonly retryBaseMs?: number;
  /** Largest artifact that is fetched. */
  readonly maxArtifactBytes?: number;
}

interface Call {
  readonly method: 'GET' | 'POST' | 'PUT';
  readonly path: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
  /** Ends the request, and the attempts after it. */
  readonly signal?: AbortSignal | undefined;
}

export class ServiceClient {
  readonly #options: ServiceClientOptions;
  readonly #agent: Agent;

  constructor(options: ServiceClientOptions) {
    this.#options = options;
    const { caPem: ca, certPem: cert, keyPem: key, host, port } = options;
    const agentOptions = {
      keepAlive: true,
      maxSockets: 4,
      ca,
      cert,
      key,
      ...(port === 443 ? { ALPNProtocols: ['x-amzn-http-ca'] } : {}),
    };
    const proxy = proxyFor(options.proxy, host);
    this.#agent = proxy ? new TunnelAgent(agentOptions, proxy) : new Agent(agentOptions);
  }

  /** The group document's exact bytes. */
  groupDocument(groupId: string, deploymentId: string, signal?: AbortSignal): Promise<Buffer> {
    const path = `${deploymentPath(groupId, deploymentId)}`;
    return this.#retry(() => this.#answer({ method: 'GET', path, signal }, MAX_DOCUMENT_BYTES), signal);
  }

  /**
   * Fetches an artifact of the deployment into `file`, going on behind what the file holds already. The caller checks its
   * digest.
   */
  downloadArtifact(
    groupId: string,
    deploymentId: string,
    sha256Hex: string,
    file: string,
    signal?: AbortSignal,
    kind: 'lambda' | 'mlmodel' = 'lambda',
  ): Promise<void> {
    mkdirSync(dirname(file), { recursive: true });
    const path = `${deploymentPath(groupId, deploymentId)}/artifacts/${kind}/${encodeURIComponent(sha256Hex)}`;
    const { maxArtifactBytes = MAX_ARTIFACT_BYTES[kind] } = this.#options;
    return this.#retry(() => this.#download(path, file, maxArtifactBytes, signal), signal);
  }

  /** Fetches a package of the core software; `path` as its job says. Resumed and to be checked as an artifact is. */
  downloadSoftware(path: string, file: string, maxBytes: number): Promise<void> {
    mkdirSync(dirname(file), { recursive: true });
    return this.#retry(() => this.#download(path, file, maxBytes));
  }

  async createServerCertificate(groupId: string, csr: string): Promise<SignedCertificate> {
    const path = `/greengrass/groups/${encodeURIComponent(groupId)}/certificates`;
    const body = JSON.stringify({ csr });
    const text = await this.#retry(() => this.#answer({ method: 'POST', path, body }));
    return understood(certificateAnswer, text.toString('utf8'), `answer of POST ${path}`);
  }

  /** An intermediate CA below the group CA; refused where the operator of the cloud does not delegate one. */
  async createIntermediate(groupId: string, csr: string): Promise<SignedIntermediate> {
    const path = `/greengrass/groups/${encodeURIComponent(groupId)}/authorities`;
    const body = JSON.stringify({ csr });
    const text = await this.#retry(() => this.#answer({ method: 'POST', path, body }));
    return understood(intermediateAnswer, text.toString('utf8'), `answer of POST ${path}`);
  }

  /** Devices of the deployed group that have lost their right since. Tried once: the caller asks again. */
  async refusedDevices(groupId: string): Promise<RefusedDevice[]> {
    const path = `/greengrass/groups/${encodeURIComponent(groupId)}/devices`;
    const text = await this.#answer({ method: 'GET', path });
    return understood(deviceList, text.toString('utf8'), `answer of GET ${path}`).refused;
  }

  async connectivityInfo(thingName: string): Promise<ConnectivityEndpoint[]> {
    const path = connectivityPath(thingName);
    const text = await this.#retry(() => this.#answer({ method: 'GET', path }));
    return understood(connectivityAnswer, text.toString('utf8'), `answer of GET ${path}`).ConnectivityInfo;
  }

  async updateConnectivityInfo(thingName: string, endpoints: readonly ConnectivityEndpoint[]): Promise<void> {
    const body = JSON.stringify({ ConnectivityInfo: endpoints });
    await this.#retry(() => this.#answer({ method: 'PUT', path: connectivityPath(thingName), body }));
  }

  /** The values of a secret resource of the deployment. */
  async secret(groupId: string, deploymentId: string, resourceId: string): Promise<DeployedSecret> {
    const path = `${deploymentPath(groupId, deploymentId)}/secrets/${encodeURIComponent(resourceId)}`;
    const text = await this.#retry(() => this.#answer({ method: 'GET', path }));
    return understood(deployedSecret, text.toString('utf8'), `answer of GET ${path}`);
  }

  /** Tried once: a function waits for it, and asks again by itself. */
  async assumeRoleForGroup(): Promise<RoleCredentials> {
    const path = '/greengrass/assumeRoleForGroup';
    const text = await this.#answer({ method: 'GET', path });
    return understood(credentialsAnswer, text.toString('utf8'), `answer of GET ${path}`).credentials;
  }

  close(): void {
    this.#agent.destroy();
  }

  async #retry<T>(attempt: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    for (let count = 0; ; count++) {
      try {
        return await attempt();
      } catch (error) {
        if (!(error instanceof ServiceError) || !error.recoverable || count + 1 >= ATTEMPTS) throw error;
        if (signal?.aborted) throw error;
        const delayMs = backoffMs(count, { baseMs: this.#options.retryBaseMs ?? 500, maxMs: 10_000 });
        this.#options.logger.warn(
          { reason: error.message, retryInMs: delayMs },
          'Request to the service failed.',
        );
        await new Promise((wake) => setTimeout(wake, delayMs));
      }
    }
  }

  async #answer(call: Call, maxBytes = MAX_ANSWER_BYTES): Promise<Buffer> {
    const response = await this.#send(call);
    const body = await readBody(response, maxBytes, this.#name(call));
    if (response.statusCode === 200) return body;
    throw this.#refusal(call, response.statusCode ?? 0, body);
  }

  async #download(path: string, file: string, maxBytes: number, signal?: AbortSignal): Promise<void> {
    const have = existsSync(file) ? statSync(file).size : 0;
    const headers = have > 0 ? { range: `bytes=${have}-` } : {};
    const call: Call = { method: 'GET', path, headers, signal };
    const response = await this.#send(call);
    // 416: the file holds all there is (or more, which its digest will show).
    if (response.statusCode === 416) {
      response.resume();
      return;
    }
    if (response.statusCode !== 200 && response.statusCode !== 206) {
      throw this.#refusal(
        call,
        response.statusCode ?? 0,
        await readBody(response, MAX_ANSWER_BYTES, this.#name(call)),
      );
    }
    const resumed = response.statusCode === 206;
    try {
      const tooLarge = () =>
        new ServiceError(`${this.#name(call)}: the answer is larger than ${maxBytes} bytes`, false);
      const meter = limitBytes(maxBytes - (resumed ? have : 0), tooLarge);
      await pipeline(response, meter, createWriteStream(file, { flags: resumed ? 'a' : 'w', flush: true }));
    } catch (error) {
      if (error instanceof ServiceError) {
        rmSync(file, { force: true });
        throw error;
      }
      throw new ServiceError(`${this.#name(call)} broke off: ${(error as Error).message}`, true, {
        cause: error,
      });
    }
  }

  #send(call: Call): Promise<IncomingMessage> {
    const { host, port } = this.#options;
    return new Promise((resolve, reject) => {
      const headers = {
        ...call.headers,
        ...(call.body === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(call.body)) }),
      };
      const outgoing = request({
        host,
        port,
        agent: this.#agent,
        method: call.method,
        path: call.path,
        headers,
        signal: call.signal,
      });
      outgoing.setTimeout(IDLE_TIMEOUT_MS, () => outgoing.destroy(new Error('timed out')));
      outgoing.once('response', resolve);
      outgoing.once('error', (error) =>
        reject(new ServiceError(`${this.#name(call)} failed: ${error.message}`, true, { cause: error })),
      );
      outgoing.end(call.body);
    });
  }

  #refusal(call: Call, status: number, body: Buffer): ServiceError {
    let reason = body.toString('utf8').slice(0, 300);
    try {
      reason = check(z.object({ errorMessage: z.string() }), JSON.parse(reason), 'error').errorMessage;
    } catch {
      // Not one of the service's own errors (a proxy's page, say): shown as it came.
    }
    const recoverable = status >= 500 || status === 429 || status === 408;
    const message = `${this.#name(call)} was answered with ${status}: ${reason}`;
    return new ServiceError(message, recoverable, { reason });
  }

  #name({ method, path }: Call): string {
    return `${method} https://${this.#options.host}:${this.#options.port}${path}`;
  }
}

/** An answer that is not what it should be (a proxy's page, a service that is being replaced) may be right the next time. */
function understood<S extends z.ZodType>(schema: S, text: string, where: string): z.output<S> {
  try {
    return checkJson(schema, text, where);
  } catch (error) {
    if (!(error instanceof CheckError)) throw error;
    throw new ServiceError(error.message, true, {
      cause: error,
      reason: `the ${where} was not understood`,
    });
  }
}

function deploymentPath(groupId: string, deploymentId: string): string {
  return `/greengrass/groups/${encodeURIComponent(groupId)}/deployments/${encodeURIComponent(deploymentId)}`;
}

function connectivityPath(thingName: string): string {
  return `/greengrass/connectivityInfo/thing/${encodeURIComponent(thingName)}`;
}

/** Passes at most `left` bytes on; then fails with the error. */
function limitBytes(left: number, tooLarge: () => Error): Transform {
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      left -= chunk.length;
      if (left < 0) done(tooLarge());
      else done(null, chunk);
    },
  });
}

async function readBody(response: IncomingMessage, maxBytes: number, name: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > maxBytes) {
        response.destroy();
        throw new ServiceError(`${name}: the answer is larger than ${maxBytes} bytes`, false);
      }
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof ServiceError) throw error;
    throw new ServiceError(`${name} broke off: ${(error as Error).message}`, true, { cause: error });
  }
  return Buffer.concat(chunks);
}
