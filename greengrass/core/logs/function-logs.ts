/** Where the lines that functions write go; implemented by `log-files.ts`, handed to lambda/ and ipc/ as a value. */
import type { WorkerLogLevel } from '../isolation/worker-process.js';

export interface FunctionLogs {
  /** One entry of a function's log. Below the configured level it is dropped. Never throws. */
  write(functionArn: string, level: WorkerLogLevel, message: string): void;
}
