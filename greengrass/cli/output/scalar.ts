/** How AWS's command line writes a single value in tables and text. */
export function isScalar(value: unknown): boolean {
  return typeof value !== 'object' || value === null;
}

/** Its words for booleans and nothing are Python's. */
export function scalarText(value: unknown): string {
  if (value === true) return 'True';
  if (value === false) return 'False';
  return value === null || value === undefined ? 'None' : String(value);
}

/** By code point, as AWS's command line sorts. */
export function sorted(names: Iterable<string>): string[] {
  return [...names].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
}

/** Names of the members that hold one value, and of those that hold more; each sorted. */
export function partition(object: object): { scalars: string[]; others: string[] } {
  const entries = Object.entries(object);
  const names = (scalar: boolean) =>
    sorted(entries.filter(([, value]) => isScalar(value) === scalar).map(([name]) => name));
  return { scalars: names(true), others: names(false) };
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
