/** Work on many things, several at a time. */

/**
 * Calls `work` for each item, `count` at once, in order of the list. After a failure no more are begun; rejects with the
 * first one when those that were begun have settled.
 */
export async function atOnce<T>(
  items: readonly T[],
  count: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const iterator = items[Symbol.iterator]();
  let failure: { readonly error: unknown } | undefined;
  const next = async () => {
    for (let step = iterator.next(); !step.done && !failure; step = iterator.next()) {
      try {
        await work(step.value);
      } catch (error) {
        failure ??= { error };
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(count, items.length) }, next));
  if (failure) throw failure.error;
}
