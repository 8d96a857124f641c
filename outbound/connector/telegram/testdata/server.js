// Serves the npm package telegram-test-api, of the folder given, on a free port, which it prints. That package reads no
// multipart forms, which the real API does, so they are put into JSON for it, field by field.
'use strict';

const http = require('node:http');
const { createRequire } = require('node:module');
const path = require('node:path');
const { Readable } = require('node:stream');

const TelegramServer = createRequire(path.resolve(process.argv[2], 'package.json'))('telegram-test-api');
const api = new TelegramServer();

async function asJSON(req) {
  const body = new Response(Readable.toWeb(req), { headers: { 'content-type': req.headers['content-type'] } });
  const json = Buffer.from(JSON.stringify(Object.fromEntries(await body.formData())));
  const out = Readable.from([json]);
  return Object.assign(out, {
    method: req.method, url: req.url, httpVersion: req.httpVersion, socket: req.socket, connection: req.socket,
    headers: { ...req.headers, 'content-type': 'application/json', 'content-length': String(json.length) },
  });
}

const server = http.createServer(async (req, res) => {
  const form = (req.headers['content-type'] || '').startsWith('multipart/form-data');
  try {
    api.webServer(form ? await asJSON(req) : req, res);
  } catch (err) {
    res.writeHead(400).end(String(err));
  }
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
