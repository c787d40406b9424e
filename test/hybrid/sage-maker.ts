/** The one operation of Amazon SageMaker that deployments need, over HTTP; it proves who asks as AWS does. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { readSignature, verifySignature } from '../../greengrass/cloud/api/sigv4.js';

export class SageMaker {
  /** What DescribeTrainingJob answers, by job. */
  readonly jobs = new Map<string, object>();
  readonly #server: Server;

  private constructor(secretAccessKey: string) {
    this.#server = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => {
        const body = Buffer.concat(parts);
        const { method = '', url = '', rawHeaders } = request;
        let answer: [number, object];
        try {
          const signature = readSignature({ method, url, rawHeaders }, new Date());
          verifySignature({ method, url, rawHeaders }, body, signature, secretAccessKey);
          answer = this.#answer(request.headers['x-amz-target'], body);
        } catch (error) {
          answer = [403, { __type: 'AccessDeniedException', message: (error as Error).message }];
        }
        response.writeHead(answer[0], { 'content-type': 'application/x-amz-json-1.1' });
        response.end(JSON.stringify(answer[1]));
      });
    });
  }

  static async start(secretAccessKey: string): Promise<SageMaker> {
    const made = new SageMaker(secretAccessKey);
    await new Promise<void>((resolve) => made.#server.listen(0, '127.0.0.1', resolve));
    return made;
  }

  get address(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #answer(target: string | string[] | undefined, body: Buffer): [number, object] {
    if (target !== 'SageMaker.DescribeTrainingJob') return [400, { __type: 'UnknownOperationException' }];
    const { TrainingJobName } = JSON.parse(body.toString('utf8')) as { TrainingJobName: string };
    const job = this.jobs.get(TrainingJobName);
    return job
      ? [200, job]
      : [400, { __type: 'ValidationException', message: 'Requested resource not found.' }];
  }
}
