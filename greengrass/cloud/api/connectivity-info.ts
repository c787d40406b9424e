/** Addresses of cores, that discovery hands to devices. */
import { randomUUID } from 'node:crypto';
import type { UpdateConnectivityInfoRequest } from '@aws-sdk/client-greengrass';
import type { ApiContext } from './context.js';
import { refusal, untypedRefusal } from './errors.js';
import type { Call, Operation } from './operation.js';
import { body } from './request-shapes.js';

const MAX_ENDPOINTS = 10;

const update = body<UpdateConnectivityInfoRequest>('UpdateConnectivityInfo');

export function connectivityOperations({ store, deviceNotices }: ApiContext): Operation[] {
  const path = '/greengrass/things/:thingName/connectivityInfo';
  return [
    {
      name: 'GetConnectivityInfo',
      method: 'GET',
      path,
      handle: async (call) => {
        const found = await store.connectivity.find(thingNameOf(call));
        if (!found) throw untypedRefusal(404, 'We do not have connectivity information for this GGC.');
        return { ConnectivityInfo: found.endpoints };
      },
    },
    {
      name: 'UpdateConnectivityInfo',
      method: 'PUT',
      path,
      handle: async (call) => {
        const thingName = thingNameOf(call);
        const { ConnectivityInfo: endpoints = [] } = call.json(update);
        if (endpoints.length > MAX_ENDPOINTS) {
          throw untypedRefusal(
            400,
            `Too many items in the Connectivity Information list. You can store a maximum of ${MAX_ENDPOINTS} endpoints.`,
          );
        }
        const version = randomUUID();
        await store.connectivity.put(thingName, version, endpoints.map(withoutAbsent));
        await deviceNotices.connectivityChanged(thingName);
        return { Version: version };
      },
    },
  ];
}

function thingNameOf(call: Call): string {
  const name = call.param('thingName');
  if (/^[a-zA-Z0-9:_-]{1,128}$/.test(name)) return name;
  throw refusal('BadRequestException', `"${name}" is not the name of a thing`);
}

type Given<T> = { [K in keyof T]: Exclude<T[K], undefined> };

/** Members that were not given are absent, not undefined. */
function withoutAbsent<T extends object>(value: T): Partial<Given<T>> {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as Partial<
    Given<T>
  >;
}
