// What the devices of this folder share. Each gets its orders as one JSON object, argv[2], and says what happens to it in
// lines of JSON on stdout, {"event": ...}, for the test to wait for. It ends by itself when its part is played.
'use strict';

const crypto = require('node:crypto');
const https = require('node:https');

exports.orders = JSON.parse(process.argv[2]);

exports.say = (event, fields) => process.stdout.write(JSON.stringify({ event, ...fields }) + '\n');

// Messages in the order they came: put() takes one, next() promises the first that fits and drops those before it.
exports.Inbox = class {
  messages = [];
  waiting = null;

  put(message) {
    this.messages.push(message);
    this.serve();
  }

  next(fits = () => true) {
    return new Promise((resolve) => {
      this.waiting = { fits, resolve };
      this.serve();
    });
  }

  serve() {
    while (this.waiting && this.messages.length > 0) {
      const message = this.messages.shift();
      if (!this.waiting.fits(message)) continue;
      const { resolve } = this.waiting;
      this.waiting = null;
      resolve(message);
    }
  }
};

exports.md5 = (bytes) => crypto.createHash('md5').update(bytes).digest('hex');

// The bytes behind an offer's URL, with the CA that Node was told to trust (NODE_EXTRA_CA_CERTS). port: where otad listens,
// for URLs that name none.
exports.download = (url, port) =>
  new Promise((resolve, reject) => {
    const target = new URL(url);
    if (port) target.port = port;
    https
      .get(target, (answer) => {
        const parts = [];
        answer.on('data', (part) => parts.push(part));
        answer.on('error', reject);
        answer.on('end', () => {
          if (answer.statusCode === 200) resolve(Buffer.concat(parts));
          else reject(new Error(`${url}: ${answer.statusCode}`));
        });
      })
      .on('error', reject);
  });
