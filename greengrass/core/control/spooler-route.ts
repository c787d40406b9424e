/** `gg spooler`: what waits for the cloud, what did not get there, and how the connection stands. */
import type { ControlRoute } from './control-route.js';

export interface SpoolerParts {
  readonly cloud: { readonly status: object };
  readonly connection: { readonly status: object };
}

export function spoolerRoute({ cloud, connection }: SpoolerParts): ControlRoute {
  return {
    method: 'GET',
    path: '/spooler',
    handle: () => ({ body: { ...cloud.status, connection: connection.status } }),
  };
}
