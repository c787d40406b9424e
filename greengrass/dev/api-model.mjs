/**
 * Writes greengrass/model/greengrass-api.ts from the API's model, as botocore ships it:
 *   node greengrass/dev/api-model.mjs /usr/lib/python3/dist-packages/awscli/botocore/data/greengrass/2017-06-07/service-2.json
 * Taken over are names, types, required members, enums, methods and paths; no text.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

const [file] = process.argv.slice(2);
if (file === undefined) throw new Error('say where service-2.json is');
const { operations, shapes } = JSON.parse(readFileSync(file, 'utf8'));

const used = new Set();
function use(name) {
  if (used.has(name)) return;
  used.add(name);
  const { members = {}, member, key, value } = shapes[name];
  for (const { shape } of [...Object.values(members), member, key, value].filter(Boolean)) use(shape);
}

const compactOperations = {};
for (const name of Object.keys(operations).sort()) {
  const { http, input, output } = operations[name];
  for (const io of [input, output]) if (io) use(io.shape);
  compactOperations[name] = {
    method: http.method,
    path: http.requestUri,
    status: http.responseCode,
    ...(input ? { input: input.shape } : {}),
    ...(output ? { output: output.shape } : {}),
  };
}

function compact({ type, members, required, member, value, enum: values }) {
  const kept = Object.entries(members ?? {}).map(([name, { shape, location, locationName }]) => [
    name,
    {
      shape,
      ...(location ? { location } : {}),
      ...(location || (locationName ?? name) !== name ? { locationName } : {}),
    },
  ]);
  return {
    type,
    ...(members ? { members: Object.fromEntries(kept) } : {}),
    ...(required?.length > 0 ? { required } : {}),
    ...(member ? { member: member.shape } : {}),
    ...(value ? { value: value.shape } : {}),
    ...(values ? { enum: values } : {}),
  };
}

const compactShapes = {};
for (const name of [...used].sort()) compactShapes[name] = compact(shapes[name]);

const target = 'greengrass/model/greengrass-api.ts';
const text = `/**
 * The Greengrass API of 2017-06-07: operations and shapes. Made by greengrass/dev/api-model.mjs, not by hand.
 */
import type { ApiModel } from './api-model.js';

export const GREENGRASS_API: ApiModel = ${JSON.stringify({ operations: compactOperations, shapes: compactShapes })};
`;
writeFileSync(target, text);
execFileSync('npx', ['biome', 'check', '--write', target], { stdio: 'inherit' });
