/** Makes everything that was written to a file system durable: one call for a folder of many files. */
import { run } from './subprocess.js';

/** syncfs(2) by way of sync(1); where that knows no -f, all file systems are synced. Rejects where neither works. */
export async function syncFileSystemOf(path: string): Promise<void> {
  const { code } = await run('sync', ['-f', path]);
  if (code === 0) return;
  const all = await run('sync', []);
  if (all.code !== 0) throw new Error(`${path} could not be made durable: ${all.stderr.trim()}`);
}
