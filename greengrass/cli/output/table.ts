/** `--output table`: what AWS's command line draws, title, nested parts, and narrow terminals included. */
import { isObject, isScalar, partition, scalarText, sorted } from './scalar.js';
import { drawSections, type Section } from './table-drawing.js';

/** Lines with their ends; nothing for an empty answer. `width` is the terminal's, in columns. */
export function tableOutput(title: string, value: unknown, width: number): string {
  const sections: Section[] = [];
  build(sections, title, value, 0);
  return sections.length === 0 ? '' : drawSections(sections, width);
}

function build(sections: Section[], title: string, value: unknown, indent: number): void {
  if (isEmpty(value)) return;
  if (Array.isArray(value)) {
    if (value.some(isObject)) buildObjects(sections, title, value.filter(isObject), indent);
    else sections.push({ title, indent, headers: [], rows: value.map((item) => rowOf(item)) });
  } else if (isObject(value)) {
    buildObject(sections, title, value, indent);
  }
}

function isEmpty(value: unknown): boolean {
  if (Array.isArray(value)) return value.length === 0;
  return isObject(value) ? Object.keys(value).length === 0 : !value;
}

function rowOf(item: unknown): string[] {
  if (isScalar(item)) return [scalarText(item)];
  return Array.isArray(item) && item.every(isScalar) ? item.map(scalarText) : [JSON.stringify(item)];
}

function buildObject(
  sections: Section[],
  title: string,
  object: Readonly<Record<string, unknown>>,
  indent: number,
): void {
  const { scalars, others } = partition(object);
  const row = scalars.map((name) => scalarText(object[name]));
  const [only] = scalars;
  if (scalars.length === 1 && only !== undefined) {
    sections.push({ title, indent, headers: [], rows: [[only, ...row]] });
  } else {
    sections.push({ title, indent, headers: scalars, rows: scalars.length > 0 ? [row] : [] });
  }
  for (const name of others) build(sections, name, object[name], indent + 1);
}

/** One section for all, or one for each where they hold parts of their own. */
function buildObjects(
  sections: Section[],
  title: string,
  objects: ReadonlyArray<Readonly<Record<string, unknown>>>,
  indent: number,
): void {
  const parts = objects.map(partition);
  const headers = sorted(new Set(parts.flatMap(({ scalars }) => scalars)));
  const others = sorted(new Set(parts.flatMap((part) => part.others)));
  const rows = objects.map((object) =>
    headers.map((name) => (name in object ? scalarText(object[name]) : '')),
  );
  if (others.length === 0) {
    sections.push({ title, indent, headers, rows });
    return;
  }
  objects.forEach((object, index) => {
    sections.push({ title, indent, headers, rows: [rows[index] ?? []] });
    for (const name of others) build(sections, name, object[name], indent + 1);
  });
}
