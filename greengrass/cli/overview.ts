/** The API verbs on one page: by their first word, the rest in a row. */
import { verbNames } from './api/verbs.js';

/** Lines with their ends, none longer than `width` columns. */
export function apiVerbList(width: number): string {
  const groups = new Map<string, string[]>();
  for (const verb of verbNames()) {
    const dash = verb.indexOf('-') + 1;
    const first = verb.slice(0, dash);
    groups.set(first, [...(groups.get(first) ?? []), verb.slice(dash)]);
  }
  const column = Math.max(...[...groups.keys()].map((first) => first.length)) + 4;
  const rows = [...groups].flatMap(([first, rest]) =>
    wrap(rest, Math.max(width, 60) - column).map(
      (line, index) => `${(index === 0 ? `  ${first}` : '').padEnd(column)}${line}`,
    ),
  );
  return ['API verbs (names and options of "aws greengrass"; "gg VERB --help" says more):', ...rows, ''].join(
    '\n',
  );
}

function wrap(words: readonly string[], width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of words) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (longer.length > width && line !== '') {
      lines.push(line);
      line = word;
    } else {
      line = longer;
    }
  }
  return [...lines, line];
}
