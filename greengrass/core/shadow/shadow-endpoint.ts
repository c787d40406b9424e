/** Target `GGShadowService` of subscriptions: a message on a shadow topic becomes an operation. */
import { parseShadowTopic } from '../../model/topic.js';
import type { Endpoint } from '../router/endpoint.js';
import type { Message } from '../router/message.js';
import type { ShadowService } from './shadow-service.js';

export class ShadowEndpoint implements Endpoint {
  constructor(private readonly service: ShadowService) {}

  deliver({ topic, payload }: Message): boolean {
    const request = parseShadowTopic(topic);
    if (!request || request.kind !== undefined) return false;
    // The answers are routed messages of their own, later than this call: the operation waits for its group commit.
    void this.service.request(request.key, request.operation, payload);
    return true;
  }
}
