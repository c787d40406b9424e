/**
 * The daemon process. greengrassd starts it with GREENGRASS_ROOT and an IPC channel, over which it says once that it is
 * ready or why it failed. A starter that goes away before that takes the daemon with it.
 */
import { Daemon } from '../daemon.js';

const root = process.env.GREENGRASS_ROOT;
if (root === undefined) {
  process.stderr.write('GREENGRASS_ROOT is not set: start the daemon with greengrassd start\n');
  process.exit(2);
}

// V1 asks for a umask of 022 at most: functions run as other users and must be able to read their code.
process.umask(0o022);

/** `ps` shows what V1 shows, which scripts look for: a line with greengrass…daemon. */
process.title = `${root}/ggc/core/bin/daemon`;

/** crash.log takes standard error; a crash is never caught to go on. */
function crash(error: unknown): void {
  const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(
    `[${new Date().toISOString()}][FATAL]-${reason}\nThe Greengrass daemon process with [pid = ${process.pid}] died.\n`,
  );
  process.exit(1);
}
process.on('uncaughtException', crash);
process.on('unhandledRejection', crash);

let daemon: Daemon | undefined;
let stopping = false;

async function stop(): Promise<void> {
  if (stopping) return;
  stopping = true;
  await daemon?.stop();
  process.exit(0);
}
process.on('SIGTERM', () => void stop());
process.on('SIGINT', () => void stop());
const starterGone = () => void stop();
process.once('disconnect', starterGone);

function tell(message: object): Promise<void> {
  return new Promise((sent) => (process.send ? process.send(message, () => sent()) : sent()));
}

try {
  daemon = new Daemon(root);
  const unhealthy = await daemon.start();
  process.off('disconnect', starterGone);
  await tell({ kind: 'ready', unhealthy });
  if (process.connected) process.disconnect();
} catch (error) {
  process.off('disconnect', starterGone);
  process.stderr.write(`[${new Date().toISOString()}][FATAL]-${(error as Error).stack}\n`);
  await tell({ kind: 'failed', reason: (error as Error).message });
  await daemon?.stop().catch(() => undefined);
  process.exit(1);
}
