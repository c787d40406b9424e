/**
 * The only importer of pino. Inside the project everybody logs through a `Logger`; what the files look like outside
 * (V1's line format) is the business of the stream that is passed to `createLogger`.
 * House rules: one event, one line, past tense, facts as fields; nothing per message above debug; no payload, key,
 * token or secret at any level above debug.
 */
import { type DestinationStream, type Logger as PinoLogger, pino } from 'pino';

export type Logger = PinoLogger;
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';

/** Fields that are removed wherever they turn up, one level deep or at the top. */
const SECRET_FIELDS = [
  'authorization',
  'token',
  'secretAccessKey',
  'privateKey',
  'password',
  'secret',
  'payload',
];

export interface LoggerOptions {
  readonly level?: LogLevel;
  /** Component name, V1's where there is one (GGShadowService, runtime, …). */
  readonly name?: string;
  readonly stream?: DestinationStream;
}

/** Root logger of a process. Components get children: `logger.child({ component: 'GGShadowService' })`. */
export function createLogger({ level = 'info', name, stream }: LoggerOptions = {}): Logger {
  const options = {
    level,
    ...(name === undefined ? {} : { name }),
    base: null,
    redact: { paths: [...SECRET_FIELDS, ...SECRET_FIELDS.map((field) => `*.${field}`)], remove: true },
    timestamp: pino.stdTimeFunctions.isoTime,
  };
  return stream ? pino(options, stream) : pino(options, pino.destination({ fd: 2, sync: true }));
}

/** A logger that says nothing; for tests and for parts that are used without a process around them. */
export function silentLogger(): Logger {
  return pino({ level: 'silent' });
}
