/**
 * The shorthand of AWS's command line, an easier JSON: `Id=a,Config={Pinned=true,Tags=[x,y]},Words=a,b`. A word is an
 * object; values are text, lists or objects; what type a text stands for is decided by the shape, not here.
 */

export type ShorthandValue = string | ShorthandValue[] | { [key: string]: ShorthandValue };
export type ShorthandObject = { [key: string]: ShorthandValue };

/** Broken shorthand; the message shows the place with a caret. */
export class ShorthandError extends Error {
  override readonly name = 'ShorthandError';
}

const FIRST_VALUE = /(?:\\,|[!#-&(-+\--<>-Z\\-z\u007c-\uffff])(?:\\,|[\s!#-&(-+\--\\^-|~-\uffff])*/y;
const NEXT_VALUE = /(?:\\,|[!#-&(-+\--<>-Z\\-z\u007c-\uffff])(?:\\,|[\s!#-&(-+\--<>-\uffff])*/y;
const SINGLE_QUOTED = /'(?:\\'|[^'])*'/y;
const DOUBLE_QUOTED = /"(?:\\"|[^"])*"/y;
const KEY = /[A-Za-z0-9\-_.#/:]*/y;
const SPACE = /\s*/y;

/**
 * Parses one word of shorthand. `readFile` is asked for the value of `Key@=file://path`.
 *
 * @throws {ShorthandError}
 */
export function parseShorthand(text: string, readFile: (value: string) => string): ShorthandObject {
  return new Parser(text, readFile).parse();
}

class Parser {
  #at = 0;
  #resolvesFiles = false;

  constructor(
    readonly text: string,
    readonly readFile: (value: string) => string,
  ) {}

  parse(): ShorthandObject {
    const object: ShorthandObject = {};
    for (;;) {
      const start = this.#at;
      const key = this.#keyAndEquals();
      if (Object.hasOwn(object, key)) {
        this.#at = start;
        throw this.#broken(
          `the key "${key}" stands there twice (objects of a list are separated by a space)`,
        );
      }
      define(object, key, this.#values());
      if (this.#ended) return object;
      this.#expect(',');
    }
  }

  get #ended(): boolean {
    return this.#at >= this.text.length;
  }

  get #current(): string | undefined {
    return this.text[this.#at];
  }

  #keyAndEquals(): string {
    const key = this.#take(KEY) ?? '';
    this.#resolvesFiles = false;
    this.#skipSpace();
    if (this.#current === '@') {
      this.#expect('@');
      this.#resolvesFiles = true;
    }
    this.#expect('=');
    return key;
  }

  #values(): ShorthandValue {
    if (this.#ended) return '';
    if (this.#current === '[') return this.#list();
    if (this.#current === '{') return this.#object();
    return this.#commaSeparated();
  }

  /** `a` or `a,b`: what follows a comma is a further value unless it is a key with its equals sign. */
  #commaSeparated(): ShorthandValue {
    const first = this.#firstValue();
    const values = [first];
    this.#skipSpace();
    while (this.#current === ',') {
      const comma = this.#at;
      this.#expect(',');
      const next = this.#nextValue();
      this.#skipSpace();
      if (next === undefined || (!this.#ended && this.#current !== ',')) {
        if (this.#ended) throw this.#broken('expected a value');
        this.#at = comma;
        break;
      }
      values.push(next);
    }
    return values.length === 1 ? first : values;
  }

  #list(): ShorthandValue[] {
    this.#expect('[');
    const values: ShorthandValue[] = [];
    while (this.#current !== ']') {
      values.push(this.#nested());
      this.#skipSpace();
      if (this.#current !== ']') this.#expect(',');
    }
    this.#at += 1;
    return values;
  }

  #object(): ShorthandObject {
    this.#expect('{');
    const object: ShorthandObject = {};
    while (this.#current !== '}') {
      const key = this.#keyAndEquals();
      define(object, key, this.#nested());
      this.#skipSpace();
      if (this.#current !== '}') this.#expect(',');
    }
    this.#at += 1;
    return object;
  }

  #nested(): ShorthandValue {
    if (this.#current === '[') return this.#list();
    if (this.#current === '{') return this.#object();
    return this.#firstValue();
  }

  #firstValue(): string {
    return this.#quoted() ?? this.#plain(this.#take(FIRST_VALUE) ?? '');
  }

  #nextValue(): string | undefined {
    const quoted = this.#quoted();
    if (quoted !== undefined) return quoted;
    const taken = this.#take(NEXT_VALUE);
    return taken === undefined ? undefined : this.#plain(taken);
  }

  #plain(taken: string): string {
    return this.#resolve(taken.replaceAll('\\,', ',').trimEnd());
  }

  #quoted(): string | undefined {
    const quote = this.#current;
    if (quote !== "'" && quote !== '"') return undefined;
    const taken = this.#take(quote === "'" ? SINGLE_QUOTED : DOUBLE_QUOTED);
    if (taken === undefined) throw this.#broken(`the quote ${quote} has no end`);
    return this.#resolve(taken.slice(1, -1).replaceAll(`\\${quote}`, quote).replaceAll('\\\\', '\\'));
  }

  #resolve(value: string): string {
    return this.#resolvesFiles ? this.readFile(value) : value;
  }

  #expect(char: string): void {
    this.#skipSpace();
    if (this.#current !== char) throw this.#broken(`expected "${char}"`);
    this.#at += 1;
    this.#skipSpace();
  }

  #skipSpace(): void {
    this.#take(SPACE);
  }

  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const taken = pattern.exec(this.text)?.[0];
    this.#at += taken?.length ?? 0;
    return taken;
  }

  #broken(what: string): ShorthandError {
    const found = this.#ended ? 'the end' : `"${this.#current}"`;
    const line = this.text.slice(this.text.lastIndexOf('\n', this.#at - 1) + 1);
    const column = this.#at - (this.text.length - line.length);
    return new ShorthandError(`${what}, found ${found}:\n${line.split('\n', 1)[0]}\n${' '.repeat(column)}^`);
  }
}

/** Own member also for `__proto__`. */
function define(object: ShorthandObject, key: string, value: ShorthandValue): void {
  Object.defineProperty(object, key, { value, enumerable: true, writable: true, configurable: true });
}
