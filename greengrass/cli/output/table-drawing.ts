/** Draws sections as one table of dashes and bars, all of them as wide as the widest. */

export interface Section {
  readonly title: string;
  /** How deep it is nested; each level adds a bar on both sides. */
  readonly indent: number;
  readonly headers: readonly string[];
  readonly rows: ReadonlyArray<readonly string[]>;
}

const PADDING = 4;
const BORDERS = 2;

/** `terminal` in columns: a table that is wider gets its single rows as name and value, one below the other. */
export function drawSections(sections: readonly Section[], terminal: number): string {
  const drawn = tableWidth(sections) > terminal ? sections.map(upright) : sections;
  const width = tableWidth(drawn);
  const lines = ['-'.repeat(width)];
  for (const section of drawn) {
    const bars = '|'.repeat(section.indent);
    lines.push(...linesOf(section, width - 2 * section.indent).map((line) => `${bars}${line}${bars}`));
  }
  return `${lines.join('\n')}\n`;
}

function upright(section: Section): Section {
  const [row, ...others] = section.rows;
  if (!row || others.length > 0 || section.headers.length === 0) return section;
  return {
    ...section,
    headers: [],
    rows: section.headers.map((header, index) => [header, row[index] ?? '']),
  };
}

function linesOf({ title, headers, rows }: Section, width: number): string[] {
  const lines = [centre(title, width, '|')];
  if (headers.length === 0 && rows.length === 0) return [...lines, `+${'-'.repeat(width - 2)}+`];
  const columns = columnWidths(headers, rows);
  if (columns.length === 0) return lines;
  const widths = scale(columns, width);
  const rule = `+${widths.map((each, index) => `${'-'.repeat(each - (index === 0 ? 2 : 1))}+`).join('')}`;
  if (headers.length > 0) {
    lines.push(rule, headers.map((cell, index) => centre(cell, widths[index] ?? 0, edge(index))).join(''));
  }
  if (rows.length > 0) {
    const cells = rows.map((row) => row.map((cell, at) => left(cell, widths[at] ?? 0, edge(at))).join(''));
    lines.push(rule, ...cells, rule);
  }
  return lines;
}

/** Only the first cell brings its left edge; the others share their neighbour's. */
function edge(index: number): string {
  return index === 0 ? '|' : '';
}

function tableWidth(sections: readonly Section[]): number {
  return Math.max(
    ...sections.map(({ title, indent, headers, rows }) => {
      const columns = columnWidths(headers, rows).reduce((sum, each) => sum + each + PADDING, 0);
      return Math.max(textWidth(title), columns) + BORDERS + 2 * indent;
    }),
  );
}

function columnWidths(headers: readonly string[], rows: ReadonlyArray<readonly string[]>): number[] {
  const widths: number[] = [];
  for (const row of [headers, ...rows]) {
    row.forEach((cell, index) => {
      widths[index] = Math.max(widths[index] ?? 0, textWidth(cell));
    });
  }
  return widths;
}

/** Columns with their padding, stretched in proportion until they fill the width. */
function scale(columns: readonly number[], width: number): number[] {
  const padded = columns.map((each) => each + PADDING);
  const factor = width / padded.reduce((sum, each) => sum + each, 0);
  const scaled = padded.map((each) => roundToEven(factor * each));
  let tooMany = scaled.reduce((sum, each) => sum + each, 0) - width;
  for (let turn = 0; tooMany !== 0; turn++) {
    const step = Math.sign(tooMany);
    const place = turn % scaled.length;
    const index = step > 0 ? place : scaled.length - 1 - place;
    scaled[index] = (scaled[index] ?? 0) - step;
    tooMany -= step;
  }
  return scaled;
}

function roundToEven(value: number): number {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

function centre(text: string, width: number, leftEdge: string): string {
  const before = Math.max(0, Math.floor(width / 2) - Math.floor(textWidth(text) / 2) - 1);
  const start = leftEdge + ' '.repeat(before) + text;
  return `${start}${' '.repeat(Math.max(0, width - 1 - textWidth(start)))}|`;
}

function left(text: string, width: number, leftEdge: string): string {
  const padding = width - (textWidth(text) + 2 + leftEdge.length + 1) >= 0 ? 2 : 0;
  const start = leftEdge + ' '.repeat(padding) + text;
  return `${start}${' '.repeat(Math.max(0, width - 1 - textWidth(start)))}|`;
}

const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]/;

/** In columns of a terminal: East Asian characters take two. */
function textWidth(text: string): number {
  return [...text].reduce((sum, char) => sum + (WIDE.test(char) ? 2 : 1), 0);
}
