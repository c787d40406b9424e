/**
 * V1's log files below the write directory: `var/log/system/<component>.log` and
 * `var/log/user/<region>/<account>/<function>.log`, with levels and sizes from the group's loggers.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { createLogger, type Logger, type LogLevel } from '../../lib/log.js';
import { parseFunctionArn } from '../../model/arn.js';
import type { GroupLogger } from '../../model/group.js';
import type { WorkerLogLevel } from '../isolation/worker-process.js';
import type { FunctionLogs } from './function-logs.js';
import { formatLine, formatRecord } from './log-format.js';
import { RotatingFile } from './rotating-file.js';

interface Setting {
  readonly level: GroupLogger['Level'];
  readonly spaceKb: number;
}

/** V1's default where the group has no loggers. */
const DEFAULT_SETTING: Setting = { level: 'INFO', spaceKb: 128 };
const RANK: Readonly<Record<WorkerLogLevel, number>> = {
  TRACE: 0,
  DEBUG: 1,
  INFO: 2,
  WARN: 3,
  ERROR: 4,
  FATAL: 5,
};

export class LogFiles implements FunctionLogs {
  readonly #folder: string;
  readonly #region: string;
  readonly #accountId: string;
  readonly #system = new Map<string, { file: RotatingFile; logger: Logger }>();
  readonly #user = new Map<string, RotatingFile>();
  #systemSetting = DEFAULT_SETTING;
  #userSetting = DEFAULT_SETTING;

  constructor({
    writeDirectory,
    region,
    accountId,
  }: { writeDirectory: string; region: string; accountId: string }) {
    this.#folder = join(writeDirectory, 'var', 'log');
    this.#region = region;
    this.#accountId = accountId;
  }

  /** The logger of a system component; its lines go to `system/<component>.log`. */
  systemLogger(component: string): Logger {
    const known = this.#system.get(component);
    if (known) return known.logger;
    const file = new RotatingFile(
      join(this.#folder, 'system', `${component}.log`),
      this.#systemSetting.spaceKb * 1024,
    );
    const logger = createLogger({
      level: pinoLevel(this.#systemSetting.level),
      stream: { write: (record: string) => file.write(formatRecord(record)) },
    });
    this.#system.set(component, { file, logger });
    return logger;
  }

  write(functionArn: string, level: WorkerLogLevel, message: string): void {
    if (RANK[level] < RANK[this.#userSetting.level]) return;
    this.#userFile(functionArn).write(formatLine(new Date().toISOString(), level, message));
  }

  /** The group's loggers take effect at once. */
  configure(loggers: readonly GroupLogger[]): void {
    this.#systemSetting = settingOf(loggers, 'GreengrassSystem');
    this.#userSetting = settingOf(loggers, 'Lambda');
    for (const { file, logger } of this.#system.values()) {
      file.setSpace(this.#systemSetting.spaceKb * 1024);
      logger.level = pinoLevel(this.#systemSetting.level);
    }
    for (const file of this.#user.values()) file.setSpace(this.#userSetting.spaceKb * 1024);
  }

  /** V1's reset deletes the logs of functions. */
  deleteUserLogs(): void {
    for (const file of this.#user.values()) file.close();
    this.#user.clear();
    rmSync(join(this.#folder, 'user'), { recursive: true, force: true });
  }

  close(): void {
    for (const { file } of this.#system.values()) file.close();
    for (const file of this.#user.values()) file.close();
  }

  #userFile(functionArn: string): RotatingFile {
    const arn = parseFunctionArn(functionArn);
    // Every version of a function writes to one file. ARNs were checked: no path can climb out.
    const path = join(
      this.#folder,
      'user',
      arn?.region || this.#region,
      arn?.accountId || this.#accountId,
      `${arn?.name ?? 'unknown'}.log`,
    );
    let file = this.#user.get(path);
    if (!file) {
      file = new RotatingFile(path, this.#userSetting.spaceKb * 1024);
      this.#user.set(path, file);
    }
    return file;
  }
}

function settingOf(loggers: readonly GroupLogger[], component: GroupLogger['Component']): Setting {
  const logger = loggers.find((item) => item.Component === component && item.Type === 'FileSystem');
  if (!logger) return DEFAULT_SETTING;
  return { level: logger.Level, spaceKb: logger.Space ?? DEFAULT_SETTING.spaceKb };
}

function pinoLevel(level: GroupLogger['Level']): LogLevel {
  return level.toLowerCase() as LogLevel;
}
