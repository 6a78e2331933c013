// A thing with AWS's IoT Device SDK v2: its MQTT 5 or 3.1.1 client, and the second of its two Jobs clients, which subscribes
// wildcards (jobs/get/+) and takes as an answer only what carries its own clientToken.
'use strict';

const sdk = require('aws-iot-device-sdk-v2');
const { orders, say, Inbox, download, md5 } = require('./device.cjs');
const { thing } = orders;

const limits = { maxRequestResponseSubscriptions: 8, maxStreamingSubscriptions: 4, operationTimeoutInSeconds: 60 };

async function connectMqtt5() {
  const config = sdk.iot.AwsIotMqtt5ClientConfigBuilder.newDirectMqttBuilderWithMtlsFromPath(orders.host, orders.cert, orders.key)
    .withCertificateAuthorityFromPath(undefined, orders.ca)
    .withPort(orders.port)
    .withConnectProperties({ clientId: thing, keepAliveIntervalSeconds: 60 })
    .build();
  const client = new sdk.mqtt5.Mqtt5Client(config);
  await new Promise((resolve, reject) => {
    client.on('connectionSuccess', resolve);
    client.on('connectionFailure', (failure) => reject(failure.error));
    client.start();
  });
  return sdk.iotjobs.IotJobsClientv2.newFromMqtt5(client, limits);
}

async function connectMqtt311() {
  const config = sdk.iot.AwsIotMqttConnectionConfigBuilder.new_mtls_builder_from_path(orders.cert, orders.key)
    .with_certificate_authority_from_path(undefined, orders.ca)
    .with_endpoint(orders.host)
    .with_port(orders.port)
    .with_client_id(thing)
    .with_clean_session(true)
    .build();
  const connection = new sdk.mqtt.MqttClient().new_connection(config);
  await connection.connect();
  return sdk.iotjobs.IotJobsClientv2.newFromMqtt311(connection, limits);
}

// An inbox of what a stream of notifications brings, once its subscription is there.
async function listen(stream) {
  const inbox = new Inbox();
  stream.on('incomingPublish', ({ message }) => inbox.put(message));
  stream.on('incomingPublishError', ({ error }) => {
    throw error;
  });
  await new Promise((resolve, reject) => {
    stream.on('subscriptionStatus', (status) => (status.error ? reject(status.error) : resolve()));
    stream.open();
  });
  return inbox;
}

// What the service says when it refuses; that it does not is an error.
async function refusal(request) {
  try {
    await request;
  } catch (error) {
    if (error.modeledError) return error.modeledError;
    throw error;
  }
  throw new Error('was accepted');
}

async function main() {
  const jobs = await (orders.mqtt === 5 ? connectMqtt5() : connectMqtt311());
  say('connected');
  const notify = await listen(jobs.createJobExecutionsChangedStream({ thingName: thing }));
  const notifyNext = await listen(jobs.createNextJobExecutionChangedStream({ thingName: thing }));
  say('unknown', await refusal(jobs.describeJobExecution({ thingName: thing, jobId: '999999' })));
  say('ready', { pending: await jobs.getPendingJobExecutions({ thingName: thing }) });

  say('notify', { message: await notify.next((message) => message.jobs && Object.keys(message.jobs).length > 0) });
  const { execution: next } = await notifyNext.next((message) => message.execution);
  say('next', { execution: next });
  const { jobId } = next;
  const update = (fields) => jobs.updateJobExecution({ thingName: thing, jobId, ...fields });

  const { execution: started } = await jobs.startNextPendingJobExecution({ thingName: thing, statusDetails: { step: 'start' } });
  say('started', { execution: started });
  const [file] = started.jobDocument.firmware;
  say('downloaded', { md5: md5(await download(file.url)), expected: file.md5 });

  const half = await update({
    status: 'IN_PROGRESS',
    statusDetails: { receive: '1/2' },
    expectedVersion: started.versionNumber,
    includeJobExecutionState: true,
  });
  say('half', half);
  say('mismatch', await refusal(update({ status: 'IN_PROGRESS', expectedVersion: started.versionNumber })));
  say('described', await jobs.describeJobExecution({ thingName: thing, jobId: '$next' }));

  const expectedVersion = half.executionState.versionNumber;
  say('succeeded', await update({ status: 'SUCCEEDED', statusDetails: { reason: 'accepted' }, expectedVersion }));
  say('over', await refusal(update({ status: 'IN_PROGRESS' })));
  say('nothing', { message: await notifyNext.next((message) => !message.execution) });
  say('none', await jobs.describeJobExecution({ thingName: thing, jobId: '$next' }));
  process.exit(0);
}

main();
