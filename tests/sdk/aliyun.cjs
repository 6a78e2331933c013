// A device with Aliyun's SDK for Node. The SDK knows nothing of OTA, and subscribes none of its topics: the application takes
// what the platform pushes from the `message` event, and says its part with publish().
'use strict';

const sdk = require('alibabacloud-iot-device-sdk');
const { orders, say, Inbox, download, md5 } = require('./device.cjs');
const { productKey, deviceName } = orders;

const device = sdk.device({ productKey, deviceName, deviceSecret: orders.secret, brokerUrl: orders.broker });
const inbox = new Inbox();
const name = `${productKey}/${deviceName}`;

const publish = (topic, text) =>
  new Promise((resolve, reject) => device.publish(topic, text, { qos: 1 }, (error) => (error ? reject(error) : resolve())));
const inform = (version) => publish(`/ota/device/inform/${name}`, JSON.stringify({ id: '1', params: { version } }));
const progress = (step) => publish(`/ota/device/progress/${name}`, JSON.stringify({ id: '2', params: { step, desc: '' } }));

async function ask(topic, text, answer) {
  await publish(topic, text);
  return (await inbox.next((message) => message.topic === answer)).payload;
}

function crc16(bytes) {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >> 1) ^ 0xa001 : crc >> 1;
  }
  return crc;
}

// One reply of thing/file/download: the length of a text, the text, bytes of the file, their checksum.
function block(payload) {
  const start = 2 + payload.readUInt16BE(0);
  const text = payload.subarray(2, start).toString();
  const bytes = payload.subarray(start, -2);
  if (crc16(bytes) !== payload.readUInt16LE(payload.length - 2)) throw new Error(`checksum after ${text}`);
  return { text, bytes };
}

// The comma after fileId is the Link SDK's own.
async function byMqtt({ size, streamId, streamFileId }) {
  const topic = `/sys/${name}/thing/file/download`;
  const parts = [];
  for (let offset = 0; offset < size; offset += orders.block) {
    const request =
      `{"id":"${offset}","version":"1.0","params":{"fileToken":"default","fileInfo":{"streamId":${streamId},` +
      `"fileId":${streamFileId},},"fileBlock":{"size":${orders.block},"offset":${offset}}}}`;
    const { text, bytes } = block(await ask(topic, request, `${topic}_reply`));
    if (offset === 0) say('block', { text });
    parts.push(bytes);
  }
  return Buffer.concat(parts);
}

async function main() {
  await new Promise((resolve) => device.on('connect', resolve));
  await inform('1.0.0');
  say('ready', { clientId: device.mqttClient.options.clientId });
  const push = await inbox.next((message) => message.topic === `/ota/device/upgrade/${name}`);
  say('push', { qos: push.qos, retain: push.retain, text: push.payload.toString() });

  const get = `/sys/${name}/thing/ota/firmware/get`;
  const reply = await ask(get, '{"id":"123","version":"1.0","params":{},"method":"thing.ota.firmware.get"}', `${get}_reply`);
  say('reply', { text: reply.toString() });
  const { data } = JSON.parse(reply);
  await progress('0');
  const bytes = data.url ? await download(data.url, orders.https) : await byMqtt(data);
  say('downloaded', { md5: md5(bytes), expected: data.md5, size: bytes.length });
  await progress('100');
  await inform(data.version);

  say('none', { text: (await ask(get, '{"id":"124","params":{}}', `${get}_reply`)).toString() });
  device.end(false, () => process.exit(0));
}

device.on('message', (topic, payload, { qos, retain }) => inbox.put({ topic, payload, qos, retain }));
device.mqttClient.on('packetreceive', ({ cmd, granted }) => cmd === 'suback' && say('granted', { granted }));
device.on('error', ([error]) => {
  say('refused', { code: error.code });
  process.exit(0);
});
main();
