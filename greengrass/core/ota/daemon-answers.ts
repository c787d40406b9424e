/** Whether the daemon of this machine does more than exist: one that hangs still has its process. */
import { request } from 'node:http';
import { socketPath } from '../../lib/unix-socket.js';

/** Loading a large group may keep it from answering for a while. */
const PATIENCE_MS = 10_000;

/** Any answer of its control socket will do. */
export function daemonAnswers(controlSocket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const { path, release } = socketPath(controlSocket);
    const call = request({ socketPath: path, path: '/', timeout: PATIENCE_MS }, (response) => {
      response.destroy();
      resolve(true);
    });
    call.on('timeout', () => call.destroy());
    call.on('error', () => resolve(false));
    call.on('close', release);
    call.end();
  });
}
