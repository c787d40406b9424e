/** The floor of the cloud's benchmarks: a bare express route that checks SigV4 and answers a small JSON object. */
import express from 'express';
import { readSignature, verifySignature } from '../../greengrass/cloud/api/sigv4.js';

const [secret = ''] = process.argv.slice(2);
const app = express();
app.disable('x-powered-by');
app.disable('etag');
app.use(express.raw({ type: () => true, limit: '6mb' }), (request, response) => {
  const signed = { method: request.method, url: request.originalUrl, rawHeaders: request.rawHeaders };
  const body: unknown = request.body;
  verifySignature(
    signed,
    Buffer.isBuffer(body) ? body : Buffer.alloc(0),
    readSignature(signed, new Date()),
    secret,
  );
  response.set('content-type', 'application/json').end(JSON.stringify({ Id: 'x', Name: 'floor' }));
});
const server = app.listen(0, '127.0.0.1', () => {
  const address = server.address();
  process.stdout.write(`${typeof address === 'object' && address ? address.port : 0}\n`);
});
