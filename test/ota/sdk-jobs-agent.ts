/**
 * A thing on the jobs client of AWS's own device SDK (v2), as a program: takes its next job and brings it to an end.
 * Prints what it saw as JSON. Arguments: folder with cert.pem, key.pem and ca.pem, thing name, port of the cloud's MQTT.
 */
import { join } from 'node:path';
import { io, iot, iotjobs, mqtt } from 'aws-iot-device-sdk-v2';

const [folder = '', thingName = '', port = ''] = process.argv.slice(2);
const client = new mqtt.MqttClient(new io.ClientBootstrap());
const connection = client.new_connection(
  iot.AwsIotMqttConnectionConfigBuilder.new_mtls_builder_from_path(
    join(folder, 'cert.pem'),
    join(folder, 'key.pem'),
  )
    .with_certificate_authority_from_path(undefined, join(folder, 'ca.pem'))
    .with_client_id(thingName)
    .with_endpoint('localhost')
    .with_port(Number(port))
    .with_clean_session(true)
    .build(),
);
await connection.connect();
const jobs = new iotjobs.IotJobsClient(connection);
const QOS = mqtt.QoS.AtLeastOnce;

interface Waiting {
  readonly accepted: (answer: object) => void;
  readonly rejected: (refusal: object) => void;
}
const waiting = new Map<string, Waiting>();
const saw: Record<string, unknown> = {};
/** The answer to the request with this token. */
function answerTo(clientToken: string): Promise<unknown> {
  return new Promise((resolve) => {
    const settle = (kind: string) => (body: object) => resolve({ kind, ...body });
    waiting.set(clientToken, { accepted: settle('accepted'), rejected: settle('rejected') });
  });
}
type Answer = { clientToken?: string } | undefined;
const accepted = (_error: unknown, answer: Answer) =>
  answer && waiting.get(answer.clientToken ?? '')?.accepted(answer);
const rejected = (_error: unknown, answer: Answer) =>
  answer && waiting.get(answer.clientToken ?? '')?.rejected(answer);

const notices: unknown[] = [];
await jobs.subscribeToNextJobExecutionChangedEvents({ thingName }, QOS, (_error, event) =>
  notices.push(event?.execution?.jobId ?? 'none'),
);
await jobs.subscribeToGetPendingJobExecutionsAccepted({ thingName }, QOS, accepted);
await jobs.subscribeToGetPendingJobExecutionsRejected({ thingName }, QOS, rejected);
await jobs.subscribeToStartNextPendingJobExecutionAccepted({ thingName }, QOS, accepted);
await jobs.subscribeToStartNextPendingJobExecutionRejected({ thingName }, QOS, rejected);

const pending = answerTo('p');
await jobs.publishGetPendingJobExecutions({ thingName, clientToken: 'p' }, QOS);
saw.pending = await pending;
const start = answerTo('s');
await jobs.publishStartNextPendingJobExecution(
  { thingName, clientToken: 's', statusDetails: { step: 'begun' } },
  QOS,
);
const started = (await start) as iotjobs.model.StartNextJobExecutionResponse;
saw.started = started;
const jobId = started.execution?.jobId ?? '';
await jobs.subscribeToDescribeJobExecutionAccepted({ thingName, jobId }, QOS, accepted);
await jobs.subscribeToUpdateJobExecutionAccepted({ thingName, jobId }, QOS, accepted);
await jobs.subscribeToUpdateJobExecutionRejected({ thingName, jobId }, QOS, rejected);
const described = answerTo('d');
await jobs.publishDescribeJobExecution({ thingName, jobId, clientToken: 'd' }, QOS);
saw.described = await described;
const stale = answerTo('u1');
const status = iotjobs.model.JobStatus.SUCCEEDED;
await jobs.publishUpdateJobExecution(
  { thingName, jobId, status, expectedVersion: 1, clientToken: 'u1' },
  QOS,
);
saw.stale = await stale;
const ended = answerTo('u2');
await jobs.publishUpdateJobExecution(
  {
    ...{ thingName, jobId, status, expectedVersion: 2, clientToken: 'u2' },
    ...{ statusDetails: { step: 'done' }, includeJobExecutionState: true },
  },
  QOS,
);
saw.ended = await ended;
const over = answerTo('p2');
await jobs.publishGetPendingJobExecutions({ thingName, clientToken: 'p2' }, QOS);
saw.over = await over;
saw.notices = notices;
await connection.disconnect();
process.stdout.write(`${JSON.stringify(saw)}\n`);
process.exit(0);
