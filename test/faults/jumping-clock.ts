/**
 * Loaded into a core by `--import`: its wall clock is off by the milliseconds that the file in JUMPING_CLOCK holds. With
 * MINUTE_MS, what it does once a minute comes every so many milliseconds.
 */
import { readFileSync } from 'node:fs';

const file = process.env.JUMPING_CLOCK;
const minuteMs = Number(process.env.MINUTE_MS ?? 60_000);
const RealDate = Date;
const realSetInterval = setInterval;
let offset = 0;

function look(): void {
  try {
    offset = Number(readFileSync(file ?? '', 'utf8')) || 0;
  } catch {
    offset = 0;
  }
}

class JumpingDate extends RealDate {
  constructor(...parts: [] | [number | string | Date]) {
    if (parts.length === 0) super(RealDate.now() + offset);
    else super(...parts);
  }
  static override now(): number {
    return RealDate.now() + offset;
  }
}

if (file !== undefined) {
  look();
  setInterval(look, 20).unref();
  globalThis.Date = JumpingDate as DateConstructor;
  globalThis.setInterval = ((callback: () => void, ms?: number, ...parts: []) =>
    realSetInterval(callback, ms === 60_000 ? minuteMs : ms, ...parts)) as typeof setInterval;
}
