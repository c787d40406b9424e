/** Lets a client of the API see what greengrass-cloud knows beyond V1's API. AWS does not mind the header. */
import type { GreengrassClient } from '@aws-sdk/client-greengrass';
import { EXTENSIONS_HEADER, SUBSCRIPTION_EXTENSIONS } from '../model/subscription-extension.js';

export function withExtensions(client: GreengrassClient): GreengrassClient {
  client.middlewareStack.add(
    (next) => (args) => {
      const { request } = args;
      if (typeof request === 'object' && request !== null && 'headers' in request) {
        Object.assign(request.headers as object, { [EXTENSIONS_HEADER]: SUBSCRIPTION_EXTENSIONS });
      }
      return next(args);
    },
    { step: 'build', name: 'greengrassExtensions' },
  );
  return client;
}
