/** Finds the route of a request: few routes, tried in order. */
import { ControlRefusal, type ControlRoute } from './control-route.js';

interface Entry {
  readonly route: ControlRoute;
  readonly segments: readonly string[];
}

export class RouteTable {
  readonly #entries: readonly Entry[];

  constructor(routes: readonly ControlRoute[]) {
    this.#entries = routes.map((route) => ({ route, segments: route.path.split('/') }));
  }

  /** Throws ControlRefusal: 404 where nothing has the path, 405 where it exists with another method. */
  find(method: string, path: string): { route: ControlRoute; params: Record<string, string> } {
    const given = path.split('/').map(decode);
    const methods: string[] = [];
    for (const { route, segments } of this.#entries) {
      const params = match(segments, given);
      if (params && route.method === method) return { route, params };
      if (params) methods.push(route.method);
    }
    if (methods.length > 0) throw new ControlRefusal(405, `${path} takes ${methods.join(', ')} only`);
    throw new ControlRefusal(404, `this core has nothing at ${path}: are core and gg of the same version?`);
  }
}

function match(segments: readonly string[], given: readonly string[]): Record<string, string> | undefined {
  if (segments.length !== given.length) return undefined;
  const params: Record<string, string> = {};
  for (const [index, segment] of segments.entries()) {
    const value = given[index] as string;
    if (segment.startsWith('{')) params[segment.slice(1, -1)] = value;
    else if (segment !== value) return undefined;
  }
  return params;
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new ControlRefusal(400, 'the path is not percent-encoded correctly');
  }
}
