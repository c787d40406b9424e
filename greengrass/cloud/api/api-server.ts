/** The API's HTTP server. TLS, where it is wanted, is a proxy's business in front of it. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createApp } from './app.js';
import { BulkRunner } from './bulk-runner.js';
import type { ApiContext } from './context.js';
import { GroupDeployments } from './group-deployments.js';

export interface ApiServerOptions {
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
}

export class ApiServer {
  readonly #server: Server;
  readonly #options: ApiServerOptions;
  readonly #bulk: BulkRunner;

  constructor(context: ApiContext, options: ApiServerOptions) {
    this.#options = options;
    const deployments = new GroupDeployments(context);
    this.#bulk = new BulkRunner(context, deployments);
    const app = createApp(context, { deployments, bulk: this.#bulk });
    this.#server = createServer({ keepAliveTimeout: 65_000 }, app);
  }

  /** Resolves once requests are served; rejects where the address can't be had. */
  start(): Promise<void> {
    const { host, port } = this.#options;
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port }, () => {
        this.#server.off('error', reject);
        this.#bulk.start();
        resolve();
      });
    });
  }

  /** Idempotent. Requests under way are answered; after two seconds what is left is cut. */
  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    const bulkStopped = this.#bulk.stop();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeIdleConnections();
    const timer = setTimeout(() => this.#server.closeAllConnections(), 2000);
    await closed;
    clearTimeout(timer);
    await bulkStopped;
  }

  /** The port in use; 0 before the start. */
  get port(): number {
    const address: AddressInfo | string | null = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }
}
