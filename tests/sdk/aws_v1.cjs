// A thing with AWS's first IoT Device SDK for JavaScript and its `jobs` class, which subscribes jobs/$next/get/accepted and
// jobs/notify-next at QoS 0, never looks at the answers to its updates, and calls the handler of the document's `operation`.
'use strict';

const sdk = require('aws-iot-device-sdk');
const { orders, say, download, md5 } = require('./device.cjs');
const { thing } = orders;

const jobs = sdk.jobs({
  host: orders.host,
  port: orders.port,
  clientId: thing,
  keyPath: orders.key,
  certPath: orders.cert,
  caPath: orders.ca,
});

const told = (step) => new Promise((resolve, reject) => step((error) => (error ? reject(error) : resolve())));

async function install(job) {
  say('job', { id: job.id, operation: job.operation, document: job.document, status: job.status });
  await told((done) => job.inProgress({ step: 'download' }, done));
  const [file] = job.document.firmware;
  say('downloaded', { md5: md5(await download(file.url)), expected: file.md5 });
  await told((done) => job.succeeded({ step: 'installed' }, done));
  say('succeeded');
  jobs.end(false, () => process.exit(0));
}

jobs.on('error', (error) => {
  throw error;
});
let seen = 0; // by the answer to get, or else by notify-next
jobs.subscribeToJobs(thing, orders.operation, (error, job) => {
  if (error) throw error;
  if (++seen > 1) throw new Error('the same job once more');
  install(job);
});
jobs.on('connect', () => jobs.startJobNotifications(thing, () => say('ready')));
