/**
 * The runtime configuration of a core: its telemetry switch. What is wanted goes to the core in the shadow of the thing
 * `<core>-gcf`, with no deployment; it is InSync once the core has reported the same there. Before the first update
 * telemetry is on, as V1's guide says.
 */
import type { UpdateThingRuntimeConfigurationRequest } from '@aws-sdk/client-greengrass';
import { z } from '../../lib/check.js';
import { configurationThingName } from '../../model/telemetry.js';
import type { ApiContext } from './context.js';
import { refusal } from './errors.js';
import type { Call, Operation } from './operation.js';
import { body } from './request-shapes.js';

const update = body<UpdateThingRuntimeConfigurationRequest>('UpdateThingRuntimeConfiguration');
/** Whoever may write the shadow may write anything into it; what is no report is none. */
const reportedTelemetry = z.object({
  state: z.object({ reported: z.object({ telemetry: z.unknown() }) }),
});

export function runtimeConfigurationOperations(context: ApiContext): Operation[] {
  const { store, shadows } = context;
  const path = '/greengrass/things/:thingName/runtimeconfig';

  async function coreOf(call: Call): Promise<string> {
    const name = call.param('thingName');
    if (!/^[a-zA-Z0-9:_-]{1,128}$/.test(name)) {
      throw refusal('BadRequestException', `"${name}" is not the name of a thing`);
    }
    if (await store.things.find(name)) return name;
    throw refusal('ResourceNotFoundException', `The thing ${name} does not exist.`);
  }

  return [
    {
      name: 'GetThingRuntimeConfiguration',
      method: 'GET',
      path,
      handle: async (call) => {
        const thingName = await coreOf(call);
        const Telemetry = (await store.runtimeConfigurations.find(thingName)) ?? 'On';
        const answer = await shadows.get(configurationThingName(thingName));
        const document = answer.accepted ? JSON.parse(answer.body.toString('utf8')) : undefined;
        const reported = reportedTelemetry.safeParse(document).data?.state.reported.telemetry;
        const ConfigurationSyncStatus = reported === Telemetry ? 'InSync' : 'OutOfSync';
        return { RuntimeConfiguration: { TelemetryConfiguration: { ConfigurationSyncStatus, Telemetry } } };
      },
    },
    {
      name: 'UpdateThingRuntimeConfiguration',
      method: 'PUT',
      path,
      handle: async (call) => {
        const wanted = call.json(update).TelemetryConfiguration?.Telemetry;
        const thingName = await coreOf(call);
        if (wanted === undefined) {
          throw refusal(
            'BadRequestException',
            'TelemetryConfiguration: is missing, so nothing would change.',
          );
        }
        const desired = { state: { desired: { telemetry: wanted } } };
        const shadow = configurationThingName(thingName);
        const { accepted, body } = await shadows.update(shadow, Buffer.from(JSON.stringify(desired)));
        if (!accepted) throw new Error(`the shadow of ${shadow} refused: ${body.toString('utf8')}`);
        await store.runtimeConfigurations.put(thingName, wanted);
        return {};
      },
    },
  ];
}
