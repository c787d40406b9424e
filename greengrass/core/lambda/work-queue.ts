/**
 * Work that waits, first in, first out. All queues of a daemon share one budget, V1's `runtime.maxWorkItemCount`: what
 * exceeds it is refused.
 */
import type { Invocation } from './invocation.js';

/** Counts the items of all queues. */
export class WorkBudget {
  #used = 0;

  constructor(private readonly limit: number) {}

  get used(): number {
    return this.#used;
  }

  hasRoom(count: number): boolean {
    return this.#used + count <= this.limit;
  }

  take(): boolean {
    if (this.#used >= this.limit) return false;
    this.#used += 1;
    return true;
  }

  give(count = 1): void {
    this.#used -= count;
  }
}

export class WorkQueue {
  #items: Array<Invocation | undefined> = [];
  /** Where the first item is: taking it away must not move all the others. */
  #first = 0;

  constructor(private readonly budget: WorkBudget) {}

  get length(): number {
    return this.#items.length - this.#first;
  }

  /** False where the budget is used up. */
  push(invocation: Invocation): boolean {
    if (!this.budget.take()) return false;
    this.#items.push(invocation);
    return true;
  }

  /** Back to the front: the item was taken but never reached a handler. Always possible. */
  unshift(invocation: Invocation): void {
    this.budget.take();
    if (this.#first > 0) this.#items[--this.#first] = invocation;
    else this.#items.unshift(invocation);
  }

  shift(): Invocation | undefined {
    const item = this.#items[this.#first];
    if (!item) return undefined;
    this.#items[this.#first++] = undefined;
    if (this.#first === this.#items.length || (this.#first >= 1024 && this.#first * 2 > this.#items.length)) {
      this.#items = this.#items.slice(this.#first);
      this.#first = 0;
    }
    this.budget.give();
    return item;
  }

  /** All of them, for another queue or to be refused. */
  drain(): Invocation[] {
    const items = this.#items.slice(this.#first) as Invocation[];
    this.#items = [];
    this.#first = 0;
    this.budget.give(items.length);
    return items;
  }
}
