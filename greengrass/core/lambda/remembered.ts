/** Results of cheap pure functions that are asked the same again and again: topics are few. */

const MAX_ENTRIES = 256;
const MAX_KEY_LENGTH = 1024;

/** `make` where the key is new; all are forgotten where they become too many. Long keys are not remembered. */
export function remembered<T>(memory: Map<string, T>, key: string, make: () => T): T {
  const known = memory.get(key);
  if (known !== undefined) return known;
  const made = make();
  if (key.length > MAX_KEY_LENGTH) return made;
  if (memory.size >= MAX_ENTRIES) memory.clear();
  memory.set(key, made);
  return made;
}
