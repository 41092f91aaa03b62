'use strict';
// Twins and direct methods, from the side of the service and of a device over MQTT.

const assert = require('node:assert/strict');
const test = require('node:test');
const { hub, makeDevice, patience, registry, service, setting, telemetry, until, withClient } = require('./support');
const { Client: DeviceClient, Message } = require('azure-iot-device');
const { Mqtt } = require('azure-iot-device-mqtt');
const { AmqpWs, Client, DigitalTwinClient, IoTHubTokenCredentials, JobClient } = require('azure-iothub');

const options = { timeout: 3 * patience };
const calls = Client.fromConnectionString(service());

const update = (id, patch, etag = '*') => registry.updateTwin(id, patch, etag).then((answer) => answer.responseBody);
const report = (twin, patch) => new Promise((resolve, reject) => {
  twin.properties.reported.update(patch, (err) => (err ? reject(err) : resolve()));
});

test('a new twin', options, async () => {
  await makeDevice('twin-new');
  const { responseBody: twin } = await registry.getTwin('twin-new');
  assert.equal(twin.version, 2);
  assert.equal(twin.etag, 'AAAAAAAAAAE=');
  assert.equal(twin.properties.desired.$version, 1);
  assert.equal(twin.properties.reported.$version, 1);
  assert.match(twin.properties.desired.$metadata.$lastUpdated, /^\d{4}-\d\d-\d\dT/);
  assert.equal(twin.deviceEtag, (await registry.get('twin-new')).responseBody.etag);
  assert.equal(twin.authenticationType, 'sas');
  assert.deepEqual(twin.x509Thumbprint, { primaryThumbprint: null, secondaryThumbprint: null });
});

test('tags and desired properties: merged, removed, with versions and metadata', options, async () => {
  await makeDevice('twin-patch');
  const first = await update('twin-patch', { tags: { site: { floor: 1, wing: 'a' } }, properties: { desired: { led: { on: true, level: 3 }, list: [1, { a: 2 }] } } });
  assert.equal(first.version, 3);
  assert.equal(first.properties.desired.$version, 2);
  assert.equal(first.properties.desired.$metadata.led.on.$lastUpdatedVersion, 2);
  const second = await update('twin-patch', { tags: { site: { wing: null } }, properties: { desired: { led: { level: 4 }, list: null } } });
  assert.deepEqual(second.tags, { site: { floor: 1 } });
  const { $metadata: meta, $version: version, ...desired } = second.properties.desired;
  assert.deepEqual(desired, { led: { on: true, level: 4 } });
  assert.equal(version, 3);
  assert.equal(meta.led.level.$lastUpdatedVersion, 3);
  assert.equal(meta.led.on.$lastUpdatedVersion, 2);
  assert.equal(meta.list, undefined);
  assert.notEqual(second.etag, first.etag);
});

test('a twin is updated with its etag, and refused with an old one', options, async () => {
  await makeDevice('twin-etag');
  const { responseBody: mine } = await registry.getTwin('twin-etag');
  const { responseBody: other } = await registry.getTwin('twin-etag');
  await other.update({ tags: { by: 'other' } });
  await assert.rejects(mine.update({ tags: { by: 'me' } }), { name: 'InvalidEtagError' });
  await mine.get();
  assert.equal(mine.tags.by, 'other');
  await mine.update({ tags: { by: 'me' } });
  assert.equal((await registry.getTwin('twin-etag')).responseBody.tags.by, 'me');
});

test('invalid twins are refused', options, async () => {
  await makeDevice('twin-bad');
  const deep = (n) => (n === 0 ? 1 : { a: deep(n - 1) });
  for (const [why, patch] of Object.entries({
    'a dot in a name': { tags: { 'a.b': 1 } }, 'a dollar in a name': { properties: { desired: { a$b: 1 } } }, 'a space in a name': { tags: { 'a b': 1 } },
    'too deep': { properties: { desired: deep(12) } }, 'a string over 4 KB': { properties: { desired: { a: 'x'.repeat(4097) } } },
    'tags over 8 KB': { tags: { a: 'x'.repeat(4096), b: 'x'.repeat(4096) } },
    'desired over 32 KB': { properties: { desired: Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`p${i}`, 'x'.repeat(4000)])) } },
    'an integer out of range': { properties: { desired: { a: 4503599627370496 } } }, 'no object': { properties: { desired: [1] } },
  })) {
    await assert.rejects(update('twin-bad', patch), (err) => err.name === 'ArgumentError' || assert.fail(`${why}: ${err.name} ${err.message}`));
  }
  assert.equal((await registry.getTwin('twin-bad')).responseBody.version, 2, 'a refused patch changes nothing');
  await update('twin-bad', { properties: { desired: deep(11) } });
  await assert.rejects(registry.getTwin('twin-never'), { name: 'DeviceNotFoundError' });
  await assert.rejects(update('twin-never', { tags: {} }), { name: 'DeviceNotFoundError' });
});

test('a device reads and reports, and the service sees it', options, async () => {
  const { connection } = await makeDevice('twin-device');
  await update('twin-device', { tags: { secret: 'of the service' }, properties: { desired: { interval: 30 } } });
  await withClient(connection, Mqtt, async (client) => {
    const twin = await client.getTwin();
    assert.equal(twin.properties.desired.interval, 30);
    assert.equal(twin.properties.desired.$metadata, undefined);
    assert.equal(twin.tags, undefined);
    await report(twin, { firmware: { version: '1.0', old: 1 } });
    await report(twin, { firmware: { old: null } });
    const { responseBody: seen } = await registry.getTwin('twin-device');
    assert.deepEqual(seen.properties.reported.firmware, { version: '1.0' });
    assert.equal(seen.properties.reported.$version, 3);
    assert.equal(seen.connectionState, 'Connected');
    assert.ok(Math.abs(Date.now() - new Date(seen.lastActivityTime)) < 60_000, seen.lastActivityTime);
    await assert.rejects(report(twin, { 'a.b': 1 }), /the name "a\.b"/);
    await assert.rejects(report(twin, { a: 'x'.repeat(4097) }), /longer than 4096 bytes/);
    await assert.rejects(report(twin, Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`p${i}`, 'x'.repeat(4000)]))), /limit of 32768/);

    const changes = [];
    twin.on('properties.desired', (delta) => changes.push(delta));
    await client.getTwin(); // answered after the subscription before it
    await update('twin-device', { properties: { desired: { interval: 60, extra: { a: 1 } } } });
    await update('twin-device', { properties: { desired: { extra: null } } });
    // The first listener and each getTwin report the current value too, so the test compares versions.
    await until('both changes', () => changes.at(-1)?.$version === 4);
    assert.deepEqual(changes.slice(-2).map(({ interval, extra }) => ({ interval, extra })), [{ interval: 60, extra: { a: 1 } }, { interval: undefined, extra: null }]);
  });
  await until('it to be gone', async () => (await registry.getTwin('twin-device')).responseBody.connectionState === 'Disconnected');
});

test('a device reports its model id', options, async () => {
  const { id, connection } = await makeDevice('twin-model');
  const model = 'dtmi:com:example:Thermostat;1';
  const client = DeviceClient.fromConnectionString(connection, Mqtt);
  await client.setOptions({ modelId: model });
  await client.open();
  try {
    await client.sendEvent(new Message('{"t":21}'));
  } finally {
    await client.close();
  }
  assert.equal((await registry.getTwin(id)).responseBody.modelId, model);
  const { result } = await registry.createQuery(`SELECT deviceId FROM devices WHERE modelId = '${model}'`).next();
  assert.deepEqual(result.map((one) => one.deviceId), [id]);
  const [message] = await telemetry(id);
  assert.equal(message.system['dt-dataschema'], model);
});

test('direct methods, with every kind of payload', options, async () => {
  const { connection } = await makeDevice('method-device');
  await withClient(connection, Mqtt, async (client) => {
    client.onDeviceMethod('echo', (request, response) => response.send(request.payload === undefined ? 299 : 200, request.payload));
    client.onDeviceMethod('empty', (request, response) => response.send(204));
    client.onDeviceMethod('fail', (request, response) => response.send(500, { reason: request.methodName }));
    client.onDeviceMethod('silent', () => {});
    const invoke = async (methodName, payload, more = {}) =>
      (await calls.invokeDeviceMethod('method-device', { methodName, payload, connectTimeoutInSeconds: 10, ...more })).result;
    for (const payload of [{ a: [1, null, 'ü'] }, [], 'text', '', 0, 1.5, true, false, null]) {
      assert.deepEqual(await invoke('echo', payload), { status: 200, payload }, JSON.stringify(payload));
    }
    assert.deepEqual(await invoke('empty'), { status: 204, payload: null });
    assert.deepEqual(await invoke('fail'), { status: 500, payload: { reason: 'fail' } });
    const many = await Promise.all(Array.from({ length: 20 }, (_, i) => invoke('echo', i)));
    assert.deepEqual(many.map((one) => one.payload), Array.from({ length: 20 }, (_, i) => i));
    await assert.rejects(invoke('silent', null, { responseTimeoutInSeconds: 5 }), { name: 'GatewayTimeoutError' });
    for (const bad of [{ responseTimeoutInSeconds: 4 }, { responseTimeoutInSeconds: 301 }, { connectTimeoutInSeconds: 301 }, { methodName: 'a/b' }]) {
      await assert.rejects(invoke('echo', null, bad), { name: 'ArgumentError' }, JSON.stringify(bad));
    }
    await assert.rejects(invoke('echo', 'x'.repeat(128 * 1024)), (err) => {
      assert.equal(err.response.statusCode, 413);
      return true;
    });
  });
});

test('methods of devices that are absent or not connected', options, async () => {
  const { connection } = await makeDevice('method-offline');
  const invoke = (id, more) => calls.invokeDeviceMethod(id, { methodName: 'm', ...more });
  await assert.rejects(invoke('method-offline'), (err) => {
    assert.equal(err.response.statusCode, 404);
    const { errorCode } = JSON.parse(JSON.parse(err.responseBody).Message);
    assert.equal(errorCode, 404103);
    return true;
  });
  await assert.rejects(invoke('method-never'), { name: 'DeviceNotFoundError' });
  // A call can wait until its device connects.
  const waiting = invoke('method-offline', { connectTimeoutInSeconds: 20 });
  await withClient(connection, Mqtt, async (client) => {
    client.onDeviceMethod('m', (request, response) => response.send(200, 'late'));
    assert.equal((await waiting).result.payload, 'late');
  });
});

test('jobs are refused', options, async () => {
  const jobs = JobClient.fromConnectionString(service());
  const start = new Date();
  await assert.rejects(jobs.scheduleTwinUpdate('j', '*', { tags: {} }, start, 60), { message: /no jobs/ });
  await assert.rejects(jobs.scheduleDeviceMethod('j', '*', { methodName: 'm' }, start, 60), { message: /no jobs/ });
  await assert.rejects(jobs.getJob('j'), /Not found/);
  await assert.rejects(jobs.cancelJob('j'), /Not found/);
  assert.deepEqual((await jobs.createQuery().next()).result, []);
});

test('calls over AMQP are refused at once', options, async () => {
  const client = Client.fromConnectionString(service(), AmqpWs);
  for (const use of [() => client.open(), () => client.send('twin-new', 'hello'), () => client.getFeedbackReceiver(), () => client.getFileNotificationReceiver()]) {
    await assert.rejects(use(), { name: 'NotImplementedError' }, String(use));
  }
});

test('digital twins are refused', options, async () => {
  await makeDevice('digital');
  const twins = new DigitalTwinClient(new IoTHubTokenCredentials(service()));
  for (const use of [
    () => twins.getDigitalTwin('digital'), () => twins.updateDigitalTwin('digital', [{ op: 'add', path: '/a', value: 1 }]),
    () => twins.invokeCommand('digital', 'c', {}), () => twins.invokeComponentCommand('digital', 'p', 'c', {}),
  ]) await assert.rejects(use(), { statusCode: 501, message: /no digital twins/ }, String(use));
});

test('Entra ID tokens may call methods', options, async () => {
  await makeDevice('method-entra');
  const credential = { getToken: async () => ({ token: setting('EVENKEEL_HUB_TOKEN'), expiresOnTimestamp: Date.now() + 3_600_000 }) };
  await assert.rejects(Client.fromTokenCredential(hub, credential).invokeDeviceMethod('method-entra', { methodName: 'm' }), /Not found/);
});

