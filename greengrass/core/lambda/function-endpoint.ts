/** A routed message on its way to a function: an asynchronous invocation with the topic in its client context. */
import type { Endpoint } from '../router/endpoint.js';
import type { Message } from '../router/message.js';
import type { FunctionHost } from './function-host.js';
import { createInvocation, messageContext } from './invocation.js';
import type { WorkBudget } from './work-queue.js';

export class FunctionEndpoint implements Endpoint {
  constructor(
    private readonly find: (functionArn: string) => FunctionHost | undefined,
    private readonly budget: WorkBudget,
  ) {}

  hasRoom(_message: Message, count: number): boolean {
    return this.budget.hasRoom(count);
  }

  deliver({ source, topic, payload }: Message, target: string): boolean {
    const host = this.find(target);
    if (!host) return false;
    return host.enqueue(
      createInvocation({ type: 'Event', invoker: source, clientContext: messageContext(topic), payload }),
    );
  }
}
