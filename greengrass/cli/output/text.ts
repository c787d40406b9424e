/** `--output text`: tab-separated lines, each nested part begun with its name in capitals. */
import { isObject, isScalar, partition, scalarText, sorted } from './scalar.js';

/** Lines with their ends. */
export function textOutput(value: unknown): string {
  return lines(value, undefined, undefined)
    .map((line) => `${line}\n`)
    .join('');
}

function lines(value: unknown, name: string | undefined, columns: readonly string[] | undefined): string[] {
  if (Array.isArray(value)) return linesOfList(value, name);
  if (isObject(value)) return linesOfObject(value, name, columns);
  return [scalarText(value)];
}

/** The items of a list share their columns: what one of them lacks is empty. */
function linesOfList(items: readonly unknown[], name: string | undefined): string[] {
  if (items.length === 0) return [];
  const objects = items.filter(isObject);
  if (objects.length > 0) {
    const columns = sorted(new Set(objects.flatMap((item) => partition(item).scalars)));
    return items.flatMap((item) => lines(item, name, columns));
  }
  const scalars = items.filter(isScalar);
  const nested = items.filter((item) => !isScalar(item)).flatMap((item) => lines(item, name, undefined));
  return [...(scalars.length > 0 ? linesOfScalars(scalars, name) : []), ...nested];
}

function linesOfScalars(items: readonly unknown[], name: string | undefined): string[] {
  if (name === undefined) return [items.map(scalarText).join('\t')];
  return items.map((item) => `${name.toUpperCase()}\t${scalarText(item)}`);
}

function linesOfObject(
  object: Readonly<Record<string, unknown>>,
  name: string | undefined,
  columns: readonly string[] | undefined,
): string[] {
  const { scalars, others } = partition(object);
  const cells = (columns ?? scalars).map((column) => (column in object ? scalarText(object[column]) : ''));
  const first = name === undefined ? cells : [name.toUpperCase(), ...cells];
  return [
    ...(cells.length > 0 ? [first.join('\t')] : []),
    ...others.flatMap((other) => lines(object[other], other, undefined)),
  ];
}
