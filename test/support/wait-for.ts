/** Waits for a condition, never for a time. */
export interface WaitOptions {
  /** 30 s where it is absent: nobody waits that long but on a machine that is very busy. */
  readonly timeoutMs?: number;
  readonly intervalMs?: number;
  /** Named in the error when the condition never came. */
  readonly what?: string;
}

/** Polls until `condition` answers something truthy, which it returns; a throw counts as "not yet". */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  { timeoutMs = 30_000, intervalMs = 20, what }: WaitOptions = {},
): Promise<NonNullable<T>> {
  const deadline = Date.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const value = await condition();
      if (value) return value;
      last = value;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) {
      const name = what ?? condition.toString().slice(0, 200);
      throw new Error(`did not happen within ${timeoutMs} ms: ${name} (last: ${String(last)})`);
    }
    await new Promise((resolve) => setTimeout(resolve, intervalMs));
  }
}
