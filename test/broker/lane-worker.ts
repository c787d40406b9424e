/** The sockets in C in a thread of their own, for a test that ends it. */
import { parentPort, workerData } from 'node:worker_threads';
import type { ServerCredentials } from '../../greengrass/core/broker/device-door.js';
import { openLaneDoor } from '../../greengrass/core/broker/tls-lane/tls-lane.js';

const door = openLaneDoor(
  { port: 0, host: '127.0.0.1' },
  {
    credentials: workerData as ServerCredentials,
    onArrival: (stream) => {
      stream.listen({
        received: (bytes, from, end) => {
          stream.write([{ bytes: Buffer.from(bytes.subarray(from, end)) }]);
        },
        written: () => undefined,
        closed: () => undefined,
      });
    },
    onFailedHandshake: () => undefined,
    inTurn: (work) => work(),
    handshakeTimeoutMs: 10_000,
  },
);
parentPort?.postMessage(door.port);
