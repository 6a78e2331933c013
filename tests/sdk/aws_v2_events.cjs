// A thing with AWS's IoT Device SDK v2 and the first of its two Jobs clients: one subscription for each of accepted and
// rejected, bodies with thingName and jobId in them, and no clientToken unless the application sends one.
'use strict';

const sdk = require('aws-iot-device-sdk-v2');
const { orders, say, Inbox, download, md5 } = require('./device.cjs');
const { thing } = orders;
const { AtLeastOnce } = sdk.mqtt.QoS;

async function connect() {
  const config = sdk.iot.AwsIotMqttConnectionConfigBuilder.new_mtls_builder_from_path(orders.cert, orders.key)
    .with_certificate_authority_from_path(undefined, orders.ca)
    .with_endpoint(orders.host)
    .with_port(orders.port)
    .with_client_id(thing)
    .with_clean_session(false)
    .build();
  const connection = new sdk.mqtt.MqttClient().new_connection(config);
  await connection.connect();
  return connection;
}

async function main() {
  const connection = await connect();
  const jobs = new sdk.iotjobs.IotJobsClient(connection);

  // subscribes by the method of that name
  async function listen(method, request) {
    const inbox = new Inbox();
    await jobs[method]({ thingName: thing, ...request }, AtLeastOnce, (error, message) => {
      if (error) throw error;
      inbox.put(message);
    });
    return inbox;
  }

  const notifyNext = await listen('subscribeToNextJobExecutionChangedEvents');
  const pending = await listen('subscribeToGetPendingJobExecutionsAccepted');
  const described = await listen('subscribeToDescribeJobExecutionAccepted', { jobId: '$next' });
  const started = await listen('subscribeToStartNextPendingJobExecutionAccepted');
  await jobs.publishGetPendingJobExecutions({ thingName: thing, clientToken: 't1' }, AtLeastOnce);
  say('ready', { pending: await pending.next() });

  const { execution } = await notifyNext.next((message) => message.execution);
  const { jobId } = execution;
  say('next', { execution });
  await jobs.publishDescribeJobExecution({ thingName: thing, jobId: '$next', includeJobDocument: false }, AtLeastOnce);
  say('described', await described.next());
  await jobs.publishStartNextPendingJobExecution({ thingName: thing }, AtLeastOnce);
  const { execution: running } = await started.next();
  say('started', { execution: running });
  const [file] = running.jobDocument.firmware;
  say('downloaded', { md5: md5(await download(file.url)), expected: file.md5 });

  const updated = await listen('subscribeToUpdateJobExecutionAccepted', { jobId });
  const refused = await listen('subscribeToUpdateJobExecutionRejected', { jobId });
  const update = (fields) => jobs.publishUpdateJobExecution({ thingName: thing, jobId, ...fields }, AtLeastOnce);
  await update({ status: 'QUEUED', clientToken: 't2' });
  say('refused', await refused.next());
  const { versionNumber: expectedVersion, executionNumber } = running;
  await update({ status: 'SUCCEEDED', statusDetails: { a: 'b' }, expectedVersion, executionNumber });
  say('succeeded', await updated.next());
  say('nothing', { message: await notifyNext.next((message) => !message.execution) });
  await connection.disconnect();
}

main();
