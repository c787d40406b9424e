/** The help of one API verb. */
import { COMMON_OPTIONS, type CommonOption, PAGING_OPTIONS } from './common-options.js';
import { optionWords } from './values.js';
import { shapeOf, type Verb, type VerbOption } from './verbs.js';

/** Lines with their ends. */
export function verbHelp(verb: Verb): string {
  const required = verb.options.filter((option) => option.required);
  const own = [...required, ...verb.options.filter((option) => !option.required)];
  const usage = required.map((option) => ` --${option.name} ${placeholder(option)}`).join('');
  const lines = [
    `Usage: gg ${verb.name}${usage} [options]`,
    '',
    `Calls ${verb.operation} of the Greengrass API, with the options of "aws greengrass ${verb.name}".`,
    '',
    'Options:',
    ...columns(own.map((option) => [head(option), describe(option)])),
    ...(verb.paging ? ['', 'Pages:', ...columns(PAGING_OPTIONS.map(commonRow))] : []),
    '',
    'Common options:',
    ...columns(COMMON_OPTIONS.map(commonRow)),
    '',
    'JSON may be typed, or shorthand (Key=value,Key=value), or file://PATH.',
  ];
  return `${lines.join('\n')}\n`;
}

function head(option: VerbOption): string {
  if (optionWords(option) === 'none') return `--${option.name}, --no-${option.name}`;
  return `--${option.name} ${placeholder(option)}`;
}

function placeholder(option: VerbOption): string {
  const shape = shapeOf(option.shape);
  const isText = (name: string | undefined) => name !== undefined && shapeOf(name).type === 'string';
  if (shape.type === 'list') return isText(shape.member) ? 'WORD …' : 'JSON …';
  if (shape.type === 'structure') return 'JSON';
  if (shape.type === 'map') return 'KEY=VALUE,…';
  return shape.type === 'string' ? 'TEXT' : 'NUMBER';
}

function describe(option: VerbOption): string {
  const choices = shapeOf(option.shape).enum?.join(', ');
  const facts = [
    option.required ? 'required' : undefined,
    choices === undefined ? undefined : `one of ${choices}`,
  ];
  return facts.filter((fact) => fact !== undefined).join('; ');
}

function commonRow({ name, value, help, choices }: CommonOption): [string, string] {
  return [
    `--${name}${value === undefined ? '' : ` ${value}`}`,
    choices ? `${help}: ${choices.join(', ')}` : help,
  ];
}

function columns(rows: ReadonlyArray<readonly [string, string]>): string[] {
  const width = Math.max(0, ...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`.trimEnd());
}
