'use strict';
// Azure's own device SDK, unchanged, against the emulator: it registers through DPS over MQTT, connects to its assigned hub, sends
// telemetry, reads its twin, reports properties and receives desired ones. The Go test beside this file starts the emulator, creates the
// hub, the provisioning service and the enrollment, and passes their addresses in the environment.

const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const https = require('node:https');
const test = require('node:test');
const { Client, Message } = require('azure-iot-device');
const { Mqtt: HubMqtt } = require('azure-iot-device-mqtt');
const { ProvisioningDeviceClient } = require('azure-iot-provisioning-device');
const { Mqtt: ProvisioningMqtt } = require('azure-iot-provisioning-device-mqtt');
const { SymmetricKeySecurityClient } = require('azure-iot-security-symmetric-key');

// setting returns a variable of the environment that the Go test sets.
function setting(name) {
  const value = process.env[name];
  assert.ok(value, `${name} is not set: run this through the Go test (make node)`);
  return value;
}

const mqtt = `localhost:${setting('EVENKEEL_MQTT_PORT')}`;
const dataPort = setting('EVENKEEL_DATA_PORT');
const scope = setting('EVENKEEL_ID_SCOPE');
const groupKey = setting('EVENKEEL_GROUP_KEY');
const hubs = setting('EVENKEEL_HUBS').split(',');
const patience = 20_000;

// derived returns the key of a device of the enrollment group.
function derived(id) {
  return crypto.createHmac('sha256', Buffer.from(groupKey, 'base64')).update(id).digest('base64');
}

function register(id, key) {
  const security = new SymmetricKeySecurityClient(id, key);
  return ProvisioningDeviceClient.create(mqtt, scope, new ProvisioningMqtt(), security).register();
}

function connectionString(hub, id, key) {
  return `HostName=${hub};DeviceId=${id};SharedAccessKey=${key};GatewayHostName=${mqtt}`;
}

// operate calls the service API of a hub with an operator's rights, and returns the body of the answer.
function operate(hub, method, path, body) {
  const resource = encodeURIComponent(hub);
  const expiry = Math.floor(Date.now() / 1000) + 3600;
  const key = Buffer.from(setting('EVENKEEL_OPERATOR_KEY'), 'base64');
  const signature = crypto.createHmac('sha256', key).update(`${resource}\n${expiry}`).digest('base64');
  const token = `SharedAccessSignature sr=${resource}&sig=${encodeURIComponent(signature)}&se=${expiry}&skn=operator`;
  return new Promise((resolve, reject) => {
    const request = https.request({
      host: 'localhost', port: dataPort, servername: hub, method, path: `${path}?api-version=2021-04-12`,
      headers: { Host: hub, Authorization: token, 'Content-Type': 'application/json' },
    }, (answer) => {
      const parts = [];
      answer.on('data', (part) => parts.push(part));
      answer.on('end', () => {
        const text = Buffer.concat(parts).toString();
        if (answer.statusCode === 200) resolve(JSON.parse(text));
        else reject(new Error(`${method} ${path}: ${answer.statusCode} ${text}`));
      });
    });
    request.on('error', reject);
    request.end(JSON.stringify(body));
  });
}

function setDesired(hub, id, desired) {
  return operate(hub, 'PATCH', `/twins/${id}`, { properties: { desired } });
}

// command sends a cloud-to-device message through the control port, because Azure's clients send over AMQP only.
async function command(hub, device, message) {
  const answer = await fetch(`${setting('EVENKEEL_CONTROL')}/messages`, { method: 'POST', headers: { Authorization: `Bearer ${setting('EVENKEEL_CONTROL_TOKEN')}` }, body: JSON.stringify({ hub, device, ...message }) });
  assert.equal(answer.status, 201, await answer.text());
}

// becomes waits until an event brings a value, and fails when the time is over.
function becomes(emitter, event, wanted) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${event} is not ${wanted} after ${patience} ms`)), patience);
    emitter.on(event, (value) => {
      if (value !== wanted) return;
      clearTimeout(timer);
      resolve();
    });
  });
}

test('a device registers, connects, sends, reads and changes its twin', { timeout: 3 * patience }, async () => {
  const id = 'node-device-1';
  const assigned = await register(id, derived(id));
  assert.equal(assigned.status, 'assigned');
  assert.equal(assigned.deviceId, id);
  assert.equal(assigned.substatus, 'initialAssignment');
  assert.ok(hubs.includes(assigned.assignedHub), `assigned to ${assigned.assignedHub}`);

  const client = Client.fromConnectionString(connectionString(assigned.assignedHub, id, derived(id)), HubMqtt);
  await client.open();
  try {
    const message = new Message(JSON.stringify({ temperature: 21.5 }));
    message.messageId = 'first & foremost';
    message.contentType = 'application/json';
    message.properties.add('room', 'boiler/1');
    await client.sendEvent(message);

    const twin = await client.getTwin();
    assert.equal(twin.properties.desired.interval, 30, 'the initial twin of the enrollment group');
    const version = twin.properties.desired.$version;

    await new Promise((resolve, reject) => {
      twin.properties.reported.update({ firmware: '1.0', old: null }, (err) => (err ? reject(err) : resolve()));
    });
    assert.equal((await client.getTwin()).properties.reported.firmware, '1.0');

    // The SDK reports the current value at once, and then changes.
    await becomes(twin, 'properties.desired.interval', 30);
    await client.getTwin(); // answered after the subscription before it
    const changed = becomes(twin, 'properties.desired.interval', 60);
    await setDesired(assigned.assignedHub, id, { interval: 60 });
    await changed;
    assert.equal(twin.properties.desired.$version, version + 1);
  } finally {
    await client.close();
  }
});

test('a device that registers again keeps its hub', { timeout: patience }, async () => {
  const id = 'node-device-2';
  const first = await register(id, derived(id));
  const second = await register(id, derived(id));
  assert.equal(second.assignedHub, first.assignedHub);
});

test('many devices are spread over the hubs', { timeout: 3 * patience }, async () => {
  const ids = Array.from({ length: 24 }, (_, i) => `node-many-${i}`);
  const seen = new Set();
  for (const assigned of await Promise.all(ids.map((id) => register(id, derived(id))))) {
    seen.add(assigned.assignedHub);
  }
  assert.deepEqual([...seen].sort(), [...hubs].sort());
});

test('the provisioning service refuses a wrong key with UnauthorizedError', { timeout: patience }, async () => {
  await assert.rejects(register('node-device-3', crypto.randomBytes(32).toString('base64')), { name: 'UnauthorizedError' });
});

test('the hub refuses a wrong key with UnauthorizedError', { timeout: patience }, async () => {
  const id = 'node-device-4';
  const { assignedHub } = await register(id, derived(id));
  const client = Client.fromConnectionString(connectionString(assignedHub, id, derived('other')), HubMqtt);
  await assert.rejects(client.open(), (err) => {
    assert.equal(err.name, 'UnauthorizedError', `${err.name}: ${err.message}`);
    return true;
  });
});

test('a device answers direct methods', { timeout: 2 * patience }, async () => {
  const id = 'node-device-5';
  const { assignedHub } = await register(id, derived(id));
  const call = (methodName, payload) => operate(assignedHub, 'POST', `/twins/${id}/methods`, { methodName, payload, connectTimeoutInSeconds: 10 });
  await assert.rejects(operate(assignedHub, 'POST', `/twins/${id}/methods`, { methodName: 'reboot' }), /404103/);
  const client = Client.fromConnectionString(connectionString(assignedHub, id, derived(id)), HubMqtt);
  await client.open();
  try {
    client.onDeviceMethod('reboot', (request, response) => {
      response.send(202, { in: request.payload.delay }, (err) => assert.ifError(err));
    });
    assert.deepEqual(await call('reboot', { delay: 5 }), { status: 202, payload: { in: 5 } });
    assert.deepEqual(await call('reboot', { delay: 6 }), { status: 202, payload: { in: 6 } });
  } finally {
    await client.close();
  }
});

test('messages are queued for a device until it completes them', { timeout: 2 * patience }, async () => {
  const id = 'node-device-6';
  const { assignedHub } = await register(id, derived(id));
  await command(assignedHub, id, {
    body: { on: true }, messageId: 'm 1', correlationId: 'c&1', contentType: 'application/json', ack: 'full', properties: { room: 'boiler/1' },
  });
  const client = Client.fromConnectionString(connectionString(assignedHub, id, derived(id)), HubMqtt);
  await client.open();
  const arrived = [];
  const both = new Promise((resolve) => {
    client.on('message', (message) => {
      arrived.push(message);
      client.complete(message, (err) => assert.ifError(err));
      if (arrived.length === 1) command(assignedHub, id, { body: 'second' });
      else resolve();
    });
  });
  try {
    await both;
    const [first, second] = arrived;
    assert.equal(first.data.toString(), '{"on":true}');
    assert.equal(first.messageId, 'm 1');
    assert.equal(first.correlationId, 'c&1');
    assert.equal(first.contentType, 'application/json');
    assert.equal(first.to, `/devices/${id}/messages/devicebound`);
    assert.equal(first.properties.getValue('room'), 'boiler/1');
    assert.equal(second.data.toString(), 'second');
    let device;
    do device = await operate(assignedHub, 'GET', `/devices/${id}`); while (device.cloudToDeviceMessageCount > 0);
  } finally {
    await client.close();
  }
});
