/** `--generate-cli-skeleton`: the JSON of a request to fill in, or of an answer to expect. */
import { shapeOf } from './verbs.js';

/** Every member once: texts empty or the first of the allowed words, numbers 0, booleans true, lists with one item. */
export function inputSkeleton(shapeName: string): unknown {
  return skeleton(shapeName, (shape) => shapeOf(shape).enum?.[0] ?? '');
}

/** As the input's, but a text says the name of its member. */
export function outputSkeleton(shapeName: string): unknown {
  return skeleton(shapeName, (_shape, member) => member);
}

type TextOf = (shape: string, member: string) => string;

function skeleton(shapeName: string, textOf: TextOf, member = ''): unknown {
  const shape = shapeOf(shapeName);
  switch (shape.type) {
    case 'structure':
      return Object.fromEntries(
        Object.entries(shape.members ?? {}).map(([name, { shape: inner }]) => [
          name,
          skeleton(inner, textOf, name),
        ]),
      );
    case 'list':
      return [skeleton(shape.member ?? '', textOf, shape.member)];
    case 'map':
      return { KeyName: skeleton(shape.value ?? '', textOf) };
    case 'boolean':
      return true;
    case 'integer':
    case 'long':
    case 'double':
      return 0;
    default:
      return textOf(shapeName, member);
  }
}
