/**
 * The runtime configuration that the cloud wants, from the shadow of `<core>-gcf`. It is read after every connect and
 * every delta, and what the core does is reported there: so the cloud sees that both are in sync.
 */
import { checkJson, z } from '../../lib/check.js';
import type { Logger } from '../../lib/log.js';
import { configurationThingName, type TelemetrySwitch, telemetrySwitch } from '../../model/telemetry.js';
import { shadowTopic } from '../../model/topic.js';

/** What telemetry needs of the connection to the cloud. */
export interface TelemetryLink {
  readonly connected: boolean;
  subscribe(filter: string, handler: (topic: string, payload: Buffer) => void): void;
  publish(topic: string, payload: Buffer | string, qos: 0 | 1): Promise<void>;
  /** Called after each (re)connect. */
  onConnected(listener: () => void): void;
}

const part = z.object({ telemetry: z.unknown() }).optional();
const got = z.object({ state: z.object({ desired: part, reported: part }) });
const refused = z.object({ code: z.number() });
const NOT_FOUND = 404;

export interface ConfigurationShadowOptions {
  readonly thingName: string;
  readonly link: TelemetryLink;
  readonly logger: Logger;
  readonly current: () => TelemetrySwitch;
  /** Settles the switch, durably, before it is reported. */
  readonly apply: (wanted: TelemetrySwitch) => void;
}

/** Begins to follow the shadow; there is nothing to stop but the connection. */
export function followConfiguration(options: ConfigurationShadowOptions): void {
  const { link, logger, current, apply } = options;
  const thing = configurationThingName(options.thingName);
  const send = (topic: string, payload: string) => {
    // The next connect does it again.
    link
      .publish(topic, payload, 1)
      .catch((error: Error) => logger.debug({ topic, reason: error.message }, 'Not sent.'));
  };
  const ask = () => send(shadowTopic(thing, 'get'), '');
  const report = () =>
    send(shadowTopic(thing, 'update'), JSON.stringify({ state: { reported: { telemetry: current() } } }));
  const on = (topic: string, take: (payload: Buffer) => void) =>
    link.subscribe(topic, (_topic, payload) => {
      try {
        take(payload);
      } catch (error) {
        logger.error(
          { topic, reason: (error as Error).message },
          'Runtime configuration was not understood.',
        );
      }
    });

  on(shadowTopic(thing, 'get', 'accepted'), (payload) => {
    const { desired, reported } = checkJson(got, payload.toString('utf8'), `shadow of ${thing}`).state;
    if (desired?.telemetry !== undefined) {
      const wanted = telemetrySwitch.safeParse(desired.telemetry);
      if (!wanted.success) {
        logger.warn(
          { thing },
          'Runtime configuration: telemetry must be On or Off. The core leaves it as it is.',
        );
        return;
      }
      if (wanted.data !== current()) apply(wanted.data);
    }
    if (reported?.telemetry !== current()) report();
  });
  // Nobody has asked for anything yet: the cloud learns what the core does by itself.
  on(shadowTopic(thing, 'get', 'rejected'), (payload) => {
    const { code } = checkJson(refused, payload.toString('utf8'), `refusal of the shadow of ${thing}`);
    if (code === NOT_FOUND) report();
    else logger.warn({ thing, code }, 'Runtime configuration could not be read.');
  });
  on(shadowTopic(thing, 'update', 'delta'), ask);
  link.onConnected(ask);
}
