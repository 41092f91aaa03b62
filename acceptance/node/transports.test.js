'use strict';
// Devices over each of their protocols: telemetry, cloud-to-device messages and their settlement, credentials, connections.

const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
const { call, command, event, hub, makeDevice, newKey, patience, registry, sas, service, setting, telemetry, until, withClient } = require('./support');
const { Client: DeviceClient, Message, SharedAccessSignature } = require('azure-iot-device');
const { Http } = require('azure-iot-device-http');
const { Mqtt, MqttWs } = require('azure-iot-device-mqtt');
const { Client: ServiceClient } = require('azure-iothub');

const options = { timeout: 3 * patience };
const transports = [Mqtt, MqttWs, Http];
const certificate = (file) => fs.readFileSync(path.join(setting('EVENKEEL_CERTIFICATES'), file), 'utf8');
const decoded = (message) => Buffer.from(message.body, 'base64').toString();

for (const transport of transports) {
  const name = transport.name.toLowerCase();

  test(`${transport.name}: telemetry with properties${transport === Http ? ', alone and as a batch' : ''}`, options, async () => {
    const { id, connection } = await makeDevice(`send-${name}`);
    await withClient(connection, transport, async (client) => {
      const message = new Message(JSON.stringify({ t: 21.5 }));
      Object.assign(message, { messageId: 'm & 1', correlationId: 'c/2', userId: 'u', contentType: 'application/json', contentEncoding: 'utf-8' });
      message.properties.add('alert', 'a b=c&d/é'.slice(0, transport === Http ? 7 : undefined));
      await client.sendEvent(message);
      const batch = ['one', 'two'].map((text) => new Message(text));
      batch[1].properties.add('second', 'yes');
      if (transport === Http) await client.sendEventBatch(batch);
      else for (const one of batch) await client.sendEvent(one); // the SDK batches over HTTP only
      await client.sendEvent(new Message(Buffer.alloc(200 * 1024, 1)));
    });
    const [first, one, two, large] = await telemetry(id);
    assert.equal(decoded(first), '{"t":21.5}');
    assert.equal(first.protocol, transport === Http ? 'https' : 'mqtt');
    const { mid, cid, uid, ct, ce } = first.system;
    assert.deepEqual({ mid, cid, uid, ct, ce }, { mid: 'm & 1', cid: 'c/2', uid: 'u', ct: 'application/json', ce: 'utf-8' });
    assert.equal(first.properties.alert, transport === Http ? 'a b=c&d' : 'a b=c&d/é');
    assert.equal(decoded(one), 'one');
    assert.equal(decoded(two), 'two');
    assert.deepEqual(two.properties, { second: 'yes' });
    assert.equal(Buffer.from(large.body, 'base64').length, 200 * 1024);
  });

  test(`${transport.name}: messages arrive in order, with their properties, and are completed`, options, async () => {
    const { id, connection } = await makeDevice(`receive-${name}`);
    const bodies = ['first', 'second', 'third'];
    await command(id, { body: 'first', messageId: 'id 1', correlationId: 'c&1', userId: 'u', contentType: 'text/plain', contentEncoding: 'utf-8', properties: { room: 'a b' } });
    for (const body of bodies.slice(1)) await command(id, { body });
    await withClient(connection, transport, async (client) => {
      if (transport === Http) await client.setOptions({ http: { receivePolicy: { interval: 1 } } });
      const seen = [];
      client.on('message', (message) => {
        seen.push(message);
        client.complete(message, (err) => assert.ifError(err));
      });
      await until('three messages', () => seen.length === 3);
      assert.deepEqual(seen.map((message) => message.data.toString()), bodies);
      assert.equal(seen[0].messageId, 'id 1');
      assert.equal(seen[0].correlationId, 'c&1');
      // Over HTTP the SDK leaves the prefix of the header, and reads no user id.
      assert.equal(seen[0].properties.getValue(transport === Http ? 'iothub-app-room' : 'room'), 'a b');
      if (transport !== Http) assert.equal(seen[0].userId, 'u');
      await until('an empty queue', async () => (await registry.get(id)).responseBody.cloudToDeviceMessageCount === 0);
    });
  });

  test(`${transport.name}: refused with a wrong key, an expired token, for another device, disabled, unknown`, options, async () => {
    const device = await makeDevice(`refused-${name}`);
    const disabled = await makeDevice(`disabled-${name}`, { status: 'disabled' });
    const expired = SharedAccessSignature.parse(sas(`${hub}/devices/${device.id}`, device.key, -60)).toString();
    const stolen = sas(`${hub}/devices/${device.id}`, disabled.key);
    for (const [why, client] of [
      ['wrong key', DeviceClient.fromConnectionString(`HostName=${hub};DeviceId=${device.id};SharedAccessKey=${newKey()}`, transport)],
      ['disabled', DeviceClient.fromConnectionString(disabled.connection, transport)],
      ['unknown', DeviceClient.fromConnectionString(`HostName=${hub};DeviceId=never-${name};SharedAccessKey=${newKey()}`, transport)],
      ['expired', DeviceClient.fromSharedAccessSignature(expired, transport)],
      ['of another key', DeviceClient.fromSharedAccessSignature(stolen, transport)],
    ]) {
      client.on('error', () => {});
      await assert.rejects(client.open().then(() => client.sendEvent(new Message('x'))), (err) => {
        assert.equal(err.name, 'UnauthorizedError', `${why}: ${err.name} ${err.message}`);
        return true;
      });
      await client.close().catch(() => {});
    }
    assert.deepEqual(await telemetry(device.id), []);
  });

  test(`${transport.name}: a token from outside the SDK, and a token of a policy`, options, async () => {
    const { id, key } = await makeDevice(`token-${name}`);
    for (const token of [sas(`${hub}/devices/${id}`, key), sas(`${hub}/devices/${id}`, setting('EVENKEEL_DEVICE_KEY'), 3600, 'device')]) {
      const client = DeviceClient.fromSharedAccessSignature(token, transport);
      await client.open();
      await client.sendEvent(new Message('hello'));
      await client.updateSharedAccessSignature(sas(`${hub}/devices/${id}`, key, 7200));
      await client.sendEvent(new Message('after the renewal'));
      await client.close();
    }
    assert.equal((await telemetry(id)).length, 4);
  });

  test(`${transport.name}: X.509, by thumbprint and by an authority of the hub`, options, async () => {
    const byPrint = `print-${name}`;
    const byAuthority = `x509-${transport.name}`;
    const cert = certificate(`${byAuthority}.pem`);
    const key = certificate(`${byAuthority}.key`);
    const primaryThumbprint = new crypto.X509Certificate(cert).fingerprint256.replaceAll(':', '');
    await registry.create({ deviceId: byPrint, authentication: { x509Thumbprint: { primaryThumbprint } } });
    await registry.create({ deviceId: byAuthority, authentication: { type: 'certificateAuthority' } });
    for (const id of [byPrint, byAuthority]) {
      const client = DeviceClient.fromConnectionString(`HostName=${hub};DeviceId=${id};x509=true`, transport);
      if (transport === Http) client.setOptions({ cert, key }); // never answers over HTTP
      else await client.setOptions({ cert, key });
      await client.open();
      await client.sendEvent(new Message('hello'));
      await client.close();
      assert.ok((await telemetry(id)).length >= 1, id);
    }
    const stranger = await makeDevice(`stranger-${name}`);
    const client = DeviceClient.fromConnectionString(`HostName=${hub};DeviceId=${stranger.id};x509=true`, transport);
    client.on('error', () => {});
    client.setOptions({ cert, key }, () => {});
    await assert.rejects(client.open().then(() => client.sendEvent(new Message('x'))), { name: 'UnauthorizedError' });
    await client.close().catch(() => {});
  });
}

// feedback receives and settles the feedback on sent messages.
async function feedback() {
  const answer = await call('GET', '/messages/serviceBound/feedback');
  if (answer.status === 204) return [];
  assert.equal(answer.status, 200);
  const records = JSON.parse(answer.text);
  const settled = await call('DELETE', `/messages/serviceBound/feedback/${answer.headers.etag.replaceAll('"', '')}`);
  assert.equal(settled.status, 204);
  return records;
}

test('over HTTPS a device completes, rejects and abandons, and the sender gets feedback', options, async () => {
  const { id, connection } = await makeDevice('settle-http');
  for (const [messageId, ack] of [['done', 'full'], ['refused', 'negative'], ['again', 'positive'], ['quiet', 'none']]) await command(id, { messageId, ack, body: messageId });
  await withClient(connection, Http, async (client) => {
    await client.setOptions({ http: { receivePolicy: { interval: 1 } } });
    const seen = [];
    client.on('message', (message) => {
      const settle = { refused: 'reject' }[message.messageId] ?? (message.messageId === 'again' && !seen.includes('again') ? 'abandon' : 'complete');
      seen.push(message.messageId);
      client[settle](message, (err) => assert.ifError(err));
    });
    await until('five deliveries', () => seen.length === 5);
    assert.deepEqual(seen, ['done', 'refused', 'again', 'again', 'quiet']);
  });
  const told = [];
  await until('the feedback', async () => {
    told.push(...(await feedback()).filter((record) => record.deviceId === id));
    return told.length === 3;
  });
  assert.deepEqual(told.map((one) => `${one.originalMessageId} ${one.statusCode}`), ['done Success', 'refused Rejected', 'again Success']);
});

test('the queue of a device holds 50 messages, and is purged', options, async () => {
  const { id } = await makeDevice('queue-full');
  for (let i = 0; i < 50; i++) await command(id, { body: String(i) });
  await assert.rejects(command(id, { body: 'one more' }), /403.*DeviceMaximumQueueDepthExceeded|DeviceMaximumQueueDepthExceeded/);
  assert.equal((await registry.get(id)).responseBody.cloudToDeviceMessageCount, 50);
  const purged = await call('DELETE', `/devices/${id}/commands`);
  assert.deepEqual(JSON.parse(purged.text), { totalMessagesPurged: 50, deviceId: id, moduleId: null });
  assert.equal((await registry.get(id)).responseBody.cloudToDeviceMessageCount, 0);
});

test('over MQTT messages wait for a device that has subscribed before', options, async () => {
  const { id, connection } = await makeDevice('kept-session');
  await withClient(connection, Mqtt, async (client) => {
    const arrived = event(client, 'message');
    await command(id, { body: 'before' });
    assert.equal((await arrived).data.toString(), 'before');
  });
  await command(id, { body: 'while it was away' });
  await withClient(connection, Mqtt, async (client) => {
    assert.equal((await event(client, 'message')).data.toString(), 'while it was away');
  });
});

for (const transport of [Mqtt, MqttWs]) {
  test(`${transport.name}: a second connection of a device ends the first`, options, async () => {
    const { connection } = await makeDevice(`twice-${transport.name}`);
    await withClient(connection, transport, async (first) => {
      await first.setRetryPolicy({ shouldRetry: () => false, nextRetryTimeout: () => -1 });
      const gone = event(first, 'disconnect');
      await withClient(connection, transport, async (second) => {
        await gone;
        await second.sendEvent(new Message('from the second'));
      });
    });
  });

  test(`${transport.name}: with a new token a device gets methods, messages and twin answers as before`, options, async () => {
    const { id, key } = await makeDevice(`renewed-${transport.name}`);
    const token = (seconds) => sas(`${hub}/devices/${id}`, key, seconds);
    const client = DeviceClient.fromSharedAccessSignature(token(60), transport);
    client.on('error', () => {});
    await client.open();
    try {
      client.onDeviceMethod('echo', (request, response) => response.send(200, request.payload));
      const messages = [];
      client.on('message', (message) => { messages.push(message.data.toString()); client.complete(message, () => {}); });
      const twin = await client.getTwin();
      const changes = [];
      twin.on('properties.desired', (delta) => changes.push(delta.level));
      await client.getTwin(); // answered after the subscriptions before it
      // The SDK reconnects and assumes that its subscriptions are still there.
      await new Promise((resolve, reject) => { client.updateSharedAccessSignature(token(3600), (err) => (err ? reject(err) : resolve())); });
      const call = { methodName: 'echo', payload: 'still there', connectTimeoutInSeconds: 10 };
      assert.equal((await ServiceClient.fromConnectionString(service()).invokeDeviceMethod(id, call)).result.payload, 'still there');
      await registry.updateTwin(id, { properties: { desired: { level: 7 } } }, '*');
      await until('the change', () => changes.includes(7));
      assert.equal((await client.getTwin()).properties.desired.level, 7);
      await command(id, { body: 'hello' });
      await until('the message', () => messages.includes('hello'));
    } finally {
      await client.close();
    }
  });

  for (const [how, end] of Object.entries({
    disabled: (id) => registry.update({ deviceId: id, status: 'disabled' }),
    deleted: (id) => registry.delete(id),
    'given other keys': (id) => registry.update({ deviceId: id, authentication: { symmetricKey: { primaryKey: newKey(), secondaryKey: newKey() } } }),
  })) {
    test(`${transport.name}: a connection ends when its device is ${how}`, options, async () => {
      const { id, connection } = await makeDevice(`ended-${transport.name}-${how.replaceAll(' ', '-')}`);
      const client = DeviceClient.fromConnectionString(connection, transport);
      client.on('error', () => {});
      client.setRetryPolicy({ shouldRetry: () => false, nextRetryTimeout: () => -1 });
      await client.open();
      const gone = event(client, 'disconnect');
      await end(id);
      await gone;
      await client.close().catch(() => {});
      const again = DeviceClient.fromConnectionString(connection, transport);
      again.on('error', () => {});
      await assert.rejects(again.open(), { name: 'UnauthorizedError' });
      await again.close().catch(() => {});
    });
  }
}

test('a message of more than 256 KB is refused', options, async () => {
  const { connection } = await makeDevice('too-large');
  await withClient(connection, Http, async (client) => {
    await assert.rejects(client.sendEvent(new Message(Buffer.alloc(256 * 1024 + 1))), { name: 'MessageTooLargeError' });
  });
});

test('file upload is refused', options, async () => {
  const { connection } = await makeDevice('upload');
  await withClient(connection, Mqtt, async (client) => {
    await assert.rejects(client.getBlobSharedAccessSignature('blob.txt'), (err) => {
      assert.match(err.responseBody, /DefaultStorageEndpointNotConfigured/);
      return true;
    });
    await assert.rejects(client.notifyBlobUploadStatus('c', true, 200, 'done'));
  });
});
