/** V1's log lines: `[2020-02-20T01:05:20.372Z][LEVEL]-message {"field":…}`. Pure. */

const LEVELS: ReadonlyArray<readonly [number, string]> = [
  [60, 'FATAL'],
  [50, 'ERROR'],
  [40, 'WARN'],
  [30, 'INFO'],
];

/** V1's name of a pino level; what is below INFO is DEBUG. */
function levelName(level: number): string {
  return LEVELS.find(([from]) => level >= from)?.[1] ?? 'DEBUG';
}

/** One line, with its line feed. Control characters can't break the line or the terminal of who reads it. */
export function formatLine(at: string, level: string, message: string): string {
  return `[${at}][${level}]-${escapeControls(message)}\n`;
}

export function escapeControls(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replace(/[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u2028\u2029]/g, (character) => {
    if (character === '\n') return '\\n';
    if (character === '\r') return '\\r';
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

/** A record of pino as one of V1's lines: the text, then the facts as JSON where there are any. */
export function formatRecord(json: string): string {
  const {
    level,
    time,
    msg,
    name: _name,
    component: _component,
    ...fields
  } = JSON.parse(json) as {
    level: number;
    time: string;
    msg?: string;
    name?: string;
    component?: string;
  } & Record<string, unknown>;
  const facts = Object.keys(fields).length > 0 ? ` ${JSON.stringify(fields)}` : '';
  return formatLine(time, levelName(level), `${msg ?? ''}${facts}`);
}
