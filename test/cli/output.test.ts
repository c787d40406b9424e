import { formatAnswer } from '../../greengrass/cli/output/output.js';
import { tableOutput } from '../../greengrass/cli/output/table.js';
import { textOutput } from '../../greengrass/cli/output/text.js';

const answer = {
  Id: 'i',
  Definition: {
    Functions: [
      { Id: 'f', Pinned: true },
      { Id: 'g', Arn: 'a' },
    ],
    Words: ['x', 'y'],
  },
  tags: { a: 'b' },
};

describe('formats', () => {
  const printable = { operation: 'GetThing', answer: { b: 1, a: [] }, pages: [{ b: 1, a: [] }] };

  it('are JSON with four spaces, and YAML, members in the order of the answer', async () => {
    expect(await formatAnswer('json', printable, 80)).toBe('{\n    "b": 1,\n    "a": []\n}\n');
    expect(await formatAnswer('yaml', printable, 80)).toBe('b: 1\na: []\n');
  });

  it('print nothing for an empty answer', async () => {
    const nothing = { operation: 'DeleteThing', answer: {}, pages: [{}] };
    for (const format of ['json', 'yaml', 'text', 'table'] as const) {
      expect(await formatAnswer(format, nothing, 80)).toBe('');
    }
  });

  it('quote what YAML would take for a time or a boolean', async () => {
    const tricky = {
      operation: 'GetThing',
      answer: { a: 'On', b: '2026-11-21T07:49:05Z', c: '1', d: 1 },
      pages: [],
    };
    expect(await formatAnswer('yaml', tricky, 80)).toBe("a: 'On'\nb: '2026-11-21T07:49:05Z'\nc: '1'\nd: 1\n");
  });

  it('print long text of YAML in one line', async () => {
    const long = { operation: 'GetThing', answer: { a: 'word '.repeat(40).trim() }, pages: [] };
    expect((await formatAnswer('yaml', long, 80)).split('\n')).toHaveLength(2);
  });
});

describe('text', () => {
  it('has a line for each object, names of parts in capitals, and aligned columns in lists', () => {
    expect(textOutput(answer)).toBe(
      ['i', 'FUNCTIONS\t\tf\tTrue', 'FUNCTIONS\ta\tg\t', 'WORDS\tx', 'WORDS\ty', 'TAGS\tb', ''].join('\n'),
    );
  });
});

describe('a table', () => {
  it('nests its parts', () => {
    expect(tableOutput('GetThing', answer, 80)).toBe(`-----------------------------
|         GetThing          |
+--------------+------------+
|  Id          |  i         |
+--------------+------------+
||       Definition        ||
|+-------------------------+|
|||       Functions       |||
||+-----+------+----------+||
||| Arn | Id   | Pinned   |||
||+-----+------+----------+||
|||     |  f   |  True    |||
|||  a  |  g   |          |||
||+-----+------+----------+||
|||         Words         |||
||+-----------------------+||
|||  x                    |||
|||  y                    |||
||+-----------------------+||
||          tags           ||
|+-----------+-------------+|
||  a        |  b          ||
|+-----------+-------------+|
`);
  });

  it('turns single rows upright where the terminal is narrow', () => {
    const group = { Arn: 'arn:aws:greengrass:us-east-1:123456789012:group', Name: 'attic' };
    expect(tableOutput('GetGroup', group, 80)).toContain('|  attic |');
    expect(tableOutput('GetGroup', group, 60)).toContain('|  Name|  attic ');
  });
});
