// A firmware server as workshops write it with Express: look whether the file is there, and pipe it into the answer. One
// process, as such a script is started.
//   node server.js PORT FOLDER CERTIFICATE KEY
'use strict';

const express = require('express');
const fs = require('fs');
const https = require('https');
const path = require('path');

const [port, folder, cert, key] = process.argv.slice(2);
const app = express();

app.get('/firmware/:name', (request, response) => {
  const file = path.join(folder, request.params.name);
  if (!fs.existsSync(file)) {
    response.status(404).send('no such file');
    return;
  }
  response.setHeader('Content-Type', 'application/octet-stream');
  response.setHeader('Content-Length', fs.statSync(file).size);
  const bytes = fs.createReadStream(file);
  bytes.on('open', () => bytes.pipe(response));
  bytes.on('error', () => response.destroy());
  response.on('close', () => bytes.destroy());
});

const settings = {
  cert: fs.readFileSync(cert),
  key: fs.readFileSync(key),
  ciphers: 'TLS_AES_128_GCM_SHA256:ECDHE-ECDSA-AES128-GCM-SHA256',
};
https.createServer(settings, app).listen(Number(port), '127.0.0.1');
