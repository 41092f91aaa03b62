'use strict';
// Shared by the tests of a hub's clients. The Go test passes all addresses in the environment.

require('./redirect');

const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const https = require('node:https');
const { setTimeout: delay } = require('node:timers/promises');
const { Client: DeviceClient } = require('azure-iot-device');
const { Registry } = require('azure-iothub');

// setting returns a variable of the environment that the Go test sets.
function setting(name) {
  const value = process.env[name];
  assert.ok(value, `${name} is not set: run this through the Go test (make node)`);
  return value;
}

const patience = 20_000;
const hub = setting('EVENKEEL_HUB');

function newKey() { return crypto.randomBytes(32).toString('base64'); }

// service is the connection string of a policy of the hub; operator has every right except DeviceConnect.
function service(policy = 'operator', key = setting('EVENKEEL_OPERATOR_KEY')) {
  return `HostName=${hub};SharedAccessKeyName=${policy};SharedAccessKey=${key}`;
}

const registry = Registry.fromConnectionString(service());

// sas signs a token for a resource of the hub, in the name of a policy if one is given.
function sas(resource, key, seconds = 3600, policy) {
  const expiry = Math.floor(Date.now() / 1000) + seconds;
  const encoded = encodeURIComponent(resource);
  const signature = crypto.createHmac('sha256', Buffer.from(key, 'base64')).update(`${encoded}\n${expiry}`).digest('base64');
  return `SharedAccessSignature sr=${encoded}&sig=${encodeURIComponent(signature)}&se=${expiry}${policy ? `&skn=${policy}` : ''}`;
}

// makeDevice registers a device, and returns its connection string and key.
async function makeDevice(id, more = {}) {
  const key = newKey();
  await registry.create({ deviceId: id, authentication: { type: 'sas', symmetricKey: { primaryKey: key, secondaryKey: newKey() } }, ...more });
  return { id, key, connection: `HostName=${hub};DeviceId=${id};SharedAccessKey=${key}` };
}

// withClient opens a device's client, calls use, and closes the client.
async function withClient(connection, transport, use) {
  const client = DeviceClient.fromConnectionString(connection, transport);
  client.on('error', () => {}); // of connections that end; each test looks at what it waits for
  await client.open();
  try {
    return await use(client);
  } finally {
    await client.close();
  }
}

// control calls the emulator's control port.
async function control(method, path, body) {
  const answer = await fetch(setting('EVENKEEL_CONTROL') + path, { method, headers: { Authorization: `Bearer ${setting('EVENKEEL_CONTROL_TOKEN')}` }, body: body && JSON.stringify(body) });
  const text = await answer.text();
  assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text}`);
  return JSON.parse(text);
}

// command sends a cloud-to-device message through the control port, because Azure's clients send over AMQP only.
function command(id, message) { return control('POST', '/messages', { hub, device: id, ...message }); }

// telemetry returns the messages that the hub received from a device.
function telemetry(id) { return control('GET', `/messages?device=${encodeURIComponent(id)}`); }

// call sends a request to the service API that no client of the SDK offers.
function call(method, path) {
  return new Promise((resolve, reject) => {
    const headers = { Authorization: sas(hub, setting('EVENKEEL_OPERATOR_KEY'), 3600, 'operator') };
    const request = https.request({ host: hub, port: 443, method, path: `${path}?api-version=2021-04-12`, headers }, (answer) => {
      const parts = [];
      answer.on('data', (part) => parts.push(part));
      answer.on('end', () => resolve({ status: answer.statusCode, headers: answer.headers, text: Buffer.concat(parts).toString() }));
    });
    request.on('error', reject);
    request.end();
  });
}

// until waits until a check passes, and fails when the time is over.
async function until(what, check) {
  for (const end = Date.now() + patience; Date.now() < end; await delay(20)) {
    if (await check()) return;
  }
  assert.fail(`${what}: not after ${patience} ms`);
}

// event waits for an emitter's event.
function event(emitter, name) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${name} after ${patience} ms`)), patience);
    emitter.once(name, (value) => {
      clearTimeout(timer);
      resolve(value);
    });
  });
}

module.exports = { call, command, control, event, hub, makeDevice, newKey, patience, registry, sas, service, setting, telemetry, until, withClient };
