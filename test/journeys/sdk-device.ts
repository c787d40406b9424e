/**
 * A device on AWS's own device SDK (v2), as a program: finds its core by discovery, connects to it with mutual TLS, sends
 * one message and waits for one. Prints what it saw as JSON. Arguments: folder of its identity, thing name, host of
 * the cloud (port 443, by ALPN).
 */
import { join } from 'node:path';
import { greengrass, io, iot, mqtt } from 'aws-iot-device-sdk-v2';

const [folder = '', thingName = '', host = ''] = process.argv.slice(2);
const certificate = join(folder, `${thingName}.cert.pem`);
const key = join(folder, `${thingName}.private.key`);

const tls = io.TlsContextOptions.create_client_with_mtls_from_path(certificate, key);
tls.override_default_trust_store_from_path(undefined, join(folder, 'root.ca.pem'));
const discovery = new greengrass.DiscoveryClient(
  new io.ClientBootstrap(),
  new io.SocketOptions(io.SocketType.STREAM, io.SocketDomain.IPV4, 3000),
  new io.ClientTlsContext(tls),
  'us-east-1',
  host,
);
const found = await discovery.discover(thingName);
const [group] = found.gg_groups;
const [core] = group?.cores ?? [];
if (!group || !core) throw new Error('discovery found no core');

/** The first address that lets us in. */
async function connect(): Promise<mqtt.MqttClientConnection> {
  const client = new mqtt.MqttClient(new io.ClientBootstrap());
  for (const { host_address, port } of core?.connectivity ?? []) {
    const config = iot.AwsIotMqttConnectionConfigBuilder.new_mtls_builder_from_path(certificate, key)
      .with_certificate_authority(group?.certificate_authorities[0] ?? '')
      .with_client_id(thingName)
      .with_endpoint(host_address ?? '')
      .with_port(port ?? 8883)
      .with_clean_session(true)
      .build();
    const connection = client.new_connection(config);
    try {
      await connection.connect();
      return connection;
    } catch {
      await connection.disconnect().catch(() => undefined);
    }
  }
  throw new Error('no address of the core let us in');
}

const connection = await connect();
const answer = new Promise<string>((resolve) => {
  void connection
    .subscribe('sdk/back', mqtt.QoS.AtLeastOnce, (_topic, payload) =>
      resolve(Buffer.from(payload).toString('utf8')),
    )
    .then(() => connection.publish('sdk/there', JSON.stringify({ from: thingName }), mqtt.QoS.AtLeastOnce));
});
const text = await answer;
await connection.disconnect();
process.stdout.write(`${JSON.stringify({ core: core.thing_arn, group: group.gg_group_id, answer: text })}\n`);
process.exit(0);
