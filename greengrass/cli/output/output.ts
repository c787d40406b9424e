/** An answer in the format that was asked for. */
import type { OutputName } from '../api/common-options.js';
import type { Answer } from '../api/paging.js';
import { tableOutput } from './table.js';
import { textOutput } from './text.js';

export interface Printable {
  readonly operation: string;
  readonly answer: Answer;
  /** The same in the pieces it came in: text is aligned page by page, as AWS's command line does. */
  readonly pages: readonly Answer[];
}

/** Texts that a reader of YAML 1.1 would take for times or booleans are quoted, as AWS's command line does. */
const YAML = { version: '1.1', lineWidth: 0, indentSeq: false, singleQuote: true } as const;

/** Lines with their ends; nothing where the answer is empty. */
export async function formatAnswer(
  format: OutputName,
  { operation, answer, pages }: Printable,
  width: number,
): Promise<string> {
  if (format === 'text') return pages.map(textOutput).join('');
  if (Object.keys(answer).length === 0) return '';
  if (format === 'table') return tableOutput(operation, answer, width);
  if (format === 'json') return `${JSON.stringify(answer, null, 4)}\n`;
  const { stringify } = await import('yaml');
  return stringify(answer, YAML);
}
