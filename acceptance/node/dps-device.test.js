'use strict';
// Azure's device SDK for the Device Provisioning Service over each of its transports: symmetric keys and certificates, accepted and
// refused registrations, and their results.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const http = require('node:http');
const test = require('node:test');
const {
  arm, as, becomes, derived, holding, host, hubs, keyed, newKey, pem, refusal, register, registering, scope, setting, transports, withKey,
} = require('./dps');
const { SharedAccessSignature } = require('azure-iot-common');

const owner = as('owner');
const patience = 20_000;
const enroll = (registrationId, more) => owner.createOrUpdateIndividualEnrollment({ registrationId, ...more });
const enrollGroup = (enrollmentGroupId, more) => owner.createOrUpdateEnrollmentGroup({ enrollmentGroupId, ...more });
const certificates = (member, certificate) => ({ type: 'x509', x509: { [member]: { primary: { certificate } } } });
const timeForm = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z$/;

// The SDK's api-version, 2019-03-31, always has this substatus; the record at the service has the real one.
const toldAlways = 'initialAssignment';
const recorded = async (id) => (await owner.getDeviceRegistrationState(id)).responseBody.substatus;

// refused checks a registration that is refused: over MQTT by the answer to it, not by the CONNACK.
const refused = (errorCode, message) => (err) => {
  assert.equal(err.name, 'UnauthorizedError', `${err.name}: ${err.message}`);
  const body = err.responseBody ? refusal(err) : err.result;
  assert.deepEqual([body.errorCode, body.message], [errorCode, message]);
  return true;
};
const refusedKey = refused(401000, 'Unauthorized');
const refusedCertificate = refused(401002, 'Invalid certificate.');

// failed checks a registration that the service accepted and that then failed.
const failed = (errorCode, text) => (err) => {
  assert.equal(err.name, 'ProvisioningRegistrationFailedError', `${err.name}: ${err.message}`);
  const { registrationState } = err.result;
  assert.equal(registrationState.status, 'failed');
  assert.equal(registrationState.errorCode, errorCode, registrationState.errorMessage);
  assert.match(registrationState.errorMessage, text);
  return true;
};

// webhook serves custom allocation: it responds with the result of answer for the request's body.
async function webhook(t, answer) {
  const server = http.createServer((request, response) => {
    const parts = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', () => {
      const [status, body] = answer(JSON.parse(Buffer.concat(parts).toString()), request);
      response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
    });
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  t.after(() => { server.close(); server.closeAllConnections(); });
  return {
    allocationPolicy: 'custom',
    customAllocationDefinition: { webhookUrl: `http://127.0.0.1:${server.address().port}/allocate?code=secret`, apiVersion: '2019-03-31' },
  };
}

for (const [name, Transport] of Object.entries(transports)) {
  test(`${name}: an individual enrollment accepts its device with either key`, { timeout: patience }, async () => {
    const id = `one-${name}`;
    const attestation = keyed();
    const { primaryKey, secondaryKey } = attestation.symmetricKey;
    await enroll(id, { attestation, deviceId: `${id}-Device`, allocationPolicy: 'hashed', iotHubs: [hubs[1]] });
    const first = await register(Transport, withKey(id, primaryKey));
    assert.deepEqual(
      [first.registrationId, first.deviceId, first.assignedHub, first.status, first.substatus],
      [id, `${id}-Device`, hubs[1], 'assigned', 'initialAssignment'],
    );
    assert.match(first.createdDateTimeUtc, timeForm);
    assert.match(first.lastUpdatedDateTimeUtc, timeForm);
    assert.ok(first.etag);
    const second = await register(Transport, withKey(id, secondaryKey));
    assert.deepEqual([second.assignedHub, second.substatus], [hubs[1], toldAlways]);
    assert.equal(await recorded(id), 'reprovisionedToInitialAssignment');
    assert.equal(second.createdDateTimeUtc, first.createdDateTimeUtc);
  });

  test(`${name}: a group accepts only devices with derived keys`, { timeout: 2 * patience }, async () => {
    const groupKey = newKey();
    const group = `group-${name}`;
    await enrollGroup(group, { attestation: keyed(groupKey) });
    const id = `member-${name}`;
    const assigned = await register(Transport, withKey(id, derived(groupKey, id)));
    assert.deepEqual([assigned.deviceId, assigned.status, assigned.symmetricKey], [id, 'assigned', { enrollmentGroupId: group }]);
    await assert.rejects(register(Transport, withKey(id, groupKey)), refusedKey, 'the key of the group itself');
    await assert.rejects(register(Transport, withKey(`other-${name}`, derived(groupKey, id))), refusedKey, 'the key of another');
    await owner.deleteEnrollmentGroup(group);
    await assert.rejects(register(Transport, withKey(id, derived(groupKey, id))), refusedKey, 'the group is deleted');
  });

  test(`${name}: unauthorized devices are refused`, { timeout: 3 * patience }, async () => {
    const id = `refused-${name}`;
    const attestation = keyed();
    const key = attestation.symmetricKey.primaryKey;
    await enroll(id, { attestation });
    await assert.rejects(register(Transport, withKey(id, newKey())), refusedKey, 'a wrong key');
    await assert.rejects(register(Transport, withKey(`unknown-${name}`, key)), refusedKey, 'an unknown id');
    await assert.rejects(register(Transport, withKey(id, key), { idScope: '0ne00000000' }), refused(401002, 'Unauthorized'), 'a wrong scope');
    const old = withKey(id, key);
    old.createSharedAccessSignature = (idScope, callback) => callback(null, SharedAccessSignature.create(
      `${idScope}/registrations/${id}`, 'registration', key, Math.floor(Date.now() / 1000) - 60,
    ));
    await assert.rejects(register(Transport, old), refusedKey, 'an expired token');
    const foreign = withKey(id, key);
    foreign.createSharedAccessSignature = (idScope, callback) => callback(null, SharedAccessSignature.create(
      `${idScope}/registrations/somebody`, 'registration', key, Math.floor(Date.now() / 1000) + 60,
    ));
    await assert.rejects(register(Transport, foreign), refusedKey, 'the token of another');
    await enroll(id, { attestation, provisioningStatus: 'disabled' });
    await assert.rejects(register(Transport, withKey(id, key)), { name: 'SyntaxError', message: 'status is disabled' });
    assert.equal((await owner.getDeviceRegistrationState(id)).responseBody.status, 'disabled');
    await enroll(id, { attestation });
    assert.equal((await register(Transport, withKey(id, key))).status, 'assigned', 'enabled again');
    await owner.deleteIndividualEnrollment(id);
    await assert.rejects(register(Transport, withKey(id, key)), refusedKey, 'a deleted enrollment');
  });

  test(`${name}: a disabled enrollment takes precedence over the group`, { timeout: patience }, async () => {
    const groupKey = newKey();
    const id = `blocked-${name}`;
    await enrollGroup(`blocking-${name}`, { attestation: keyed(groupKey) });
    await enroll(id, { attestation: keyed(derived(groupKey, id)), provisioningStatus: 'disabled' });
    await assert.rejects(register(Transport, withKey(id, derived(groupKey, id))), { message: 'status is disabled' });
  });

  test(`${name}: a webhook selects the hub, and payloads pass both ways`, { timeout: patience }, async (t) => {
    const id = `hooked-${name}`;
    const asked = [];
    const custom = await webhook(t, (body, request) => {
      asked.push({ body, url: request.url, method: request.method });
      return [200, { iotHubHostName: hubs[1], initialTwin: { tags: { from: 'webhook' } }, payload: { hello: body.deviceRuntimeContext.payload.model, n: [1, 2] } }];
    });
    const attestation = keyed();
    await enroll(id, { attestation, iotHubs: hubs, ...custom });
    const assigned = await register(Transport, withKey(id, attestation.symmetricKey.primaryKey), { payload: { model: 'toaster', parts: { n: 1.5 } } });
    assert.deepEqual([assigned.assignedHub, assigned.payload], [hubs[1], { hello: 'toaster', n: [1, 2] }]);
    const [{ body, url, method }] = asked;
    assert.deepEqual([method, url], ['POST', '/allocate?code=secret']);
    assert.deepEqual(body.deviceRuntimeContext, { registrationId: id, symmetricKey: {}, payload: { model: 'toaster', parts: { n: 1.5 } } });
    assert.deepEqual(body.linkedHubs, hubs);
    assert.equal(body.individualEnrollment.registrationId, id);
    assert.equal(body.individualEnrollment.attestation.symmetricKey, undefined, 'a webhook is told no keys');
    const { responseBody: record } = await owner.getDeviceRegistrationState(id);
    assert.deepEqual(record.payload, assigned.payload);
  });

  test(`${name}: registrations fail with a reason`, { timeout: 2 * patience }, async (t) => {
    const attestation = keyed();
    const key = attestation.symmetricKey.primaryKey;
    const answers = { 'no-hub': [200, {}], error: [500, {}], stranger: [200, { iotHubHostName: 'hub-9.azure-devices.net' }] };
    const wanted = { 'no-hub': failed(400208, /no IoT hub/), error: failed(400207, /status code: 500/), stranger: failed(400207, /not among the linked hubs/) };
    for (const [why, answer] of Object.entries(answers)) {
      const id = `failed-${why}-${name}`;
      await enroll(id, { attestation, ...await webhook(t, () => answer) });
      await assert.rejects(register(Transport, withKey(id, key)), wanted[why], why);
      assert.equal((await owner.getDeviceRegistrationState(id)).responseBody.status, 'failed');
    }
    const id = `failed-static-${name}`;
    await enroll(id, { attestation, allocationPolicy: 'static' });
    await assert.rejects(register(Transport, withKey(id, key)), failed(400208, /./), 'a static policy without a hub');
    await enroll(id, { attestation, allocationPolicy: 'static', iotHubs: [hubs[0]] });
    assert.equal((await register(Transport, withKey(id, key))).assignedHub, hubs[0]);
  });

  test(`${name}: a device is reassigned as its enrollment says`, { timeout: patience }, async () => {
    const id = `moving-${name}`;
    const attestation = keyed();
    const go = () => register(Transport, withKey(id, attestation.symmetricKey.primaryKey));
    await enroll(id, { attestation, allocationPolicy: 'static', iotHubs: [hubs[0]] });
    assert.equal((await go()).assignedHub, hubs[0]);
    await enroll(id, { attestation, allocationPolicy: 'static', iotHubs: [hubs[1]], reprovisionPolicy: { updateHubAssignment: false, migrateDeviceData: false } });
    assert.equal((await go()).assignedHub, hubs[0], 'it may not move');
    await enroll(id, { attestation, allocationPolicy: 'static', iotHubs: [hubs[1]], reprovisionPolicy: { updateHubAssignment: true, migrateDeviceData: true } });
    const moved = await go();
    assert.deepEqual([moved.assignedHub, moved.substatus], [hubs[1], toldAlways]);
    assert.equal(await recorded(id), 'deviceDataMigrated');
    await enroll(id, { attestation, allocationPolicy: 'static', iotHubs: [hubs[0]], reprovisionPolicy: { updateHubAssignment: true, migrateDeviceData: false } });
    const reset = await go();
    assert.deepEqual([reset.assignedHub, reset.substatus], [hubs[0], toldAlways]);
    assert.equal(await recorded(id), 'deviceDataReset');
  });

  test(`${name}: a device registers with its certificate`, { timeout: 2 * patience }, async () => {
    const id = `x509-${name}`;
    await enroll(id, { attestation: certificates('clientCertificates', pem(`${id}.pem`)) });
    const assigned = await register(Transport, holding(id));
    assert.deepEqual([assigned.registrationId, assigned.status, assigned.x509], [id, 'assigned', {}]);
    await enroll('x509-self', { attestation: certificates('clientCertificates', pem('x509-self.pem')) });
    assert.equal((await register(Transport, holding('x509-self'))).status, 'assigned', 'self-signed');
    await assert.rejects(register(Transport, holding('x509-other', 'x509-self')), refusedCertificate, 'the certificate of another');
    await assert.rejects(register(Transport, holding('x509-other')), refusedCertificate, 'an unknown id');
    await assert.rejects(register(Transport, withKey('x509-self', newKey())), refusedKey, 'a key where a certificate is wanted');
    await enroll('x509-self', { attestation: certificates('clientCertificates', pem('x509-self.pem')), provisioningStatus: 'disabled' });
    await assert.rejects(register(Transport, holding('x509-self')), { message: 'status is disabled' });
  });

  test(`${name}: a group accepts devices with certificates of its authority`, { timeout: 2 * patience }, async () => {
    const group = `authority-${name}`;
    for (const attestation of [certificates('signingCertificates', pem('signing.pem')), { type: 'x509', x509: { caReferences: { primary: 'node-root' } } }]) {
      await enrollGroup(group, { attestation });
      const assigned = await register(Transport, holding('x509-group'));
      assert.deepEqual([assigned.deviceId, assigned.status, assigned.x509], ['x509-group', 'assigned', { enrollmentGroupId: group }]);
      await assert.rejects(register(Transport, holding('x509-stranger')), refusedCertificate, 'of a stranger');
    }
    await enrollGroup(group, { attestation: certificates('signingCertificates', pem('signing.pem')), provisioningStatus: 'disabled' });
    await assert.rejects(register(Transport, holding('x509-disabled')), { message: 'status is disabled' });
    await owner.deleteEnrollmentGroup(group);
    await assert.rejects(register(Transport, holding('x509-group')), refusedCertificate, 'the group is deleted');
  });

  test(`${name}: many devices that register at once are spread over the hubs`, { timeout: 2 * patience }, async () => {
    const groupKey = newKey();
    await enrollGroup(`many-${name}`, { attestation: keyed(groupKey) });
    const ids = Array.from({ length: 24 }, (_, i) => `many-${name}-${i}`);
    const assigned = await Promise.all(ids.map((id) => register(Transport, withKey(id, derived(groupKey, id)))));
    assert.deepEqual(assigned.map((one) => one.deviceId), ids);
    assert.deepEqual([...new Set(assigned.map((one) => one.assignedHub))].sort(), [...hubs].sort());
    await owner.deleteEnrollmentGroup(`many-${name}`);
  });

  test(`${name}: two concurrent registrations of a device`, { timeout: patience }, async () => {
    const id = `twice-${name}`;
    const attestation = keyed();
    await enroll(id, { attestation });
    const both = await Promise.all([0, 1].map(() => register(Transport, withKey(id, attestation.symmetricKey.primaryKey))));
    assert.deepEqual(both.map((one) => [one.status, one.deviceId]), [['assigned', id], ['assigned', id]]);
    assert.equal(both[0].assignedHub, both[1].assignedHub);
  });

  test(`${name}: the service completes a registration with a slow webhook that the device has cancelled`, { timeout: patience }, async (t) => {
    const id = `slow-${name}`;
    const attestation = keyed();
    const server = http.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => { server.close(); server.closeAllConnections(); });
    const webhookUrl = `http://127.0.0.1:${server.address().port}/`;
    await enroll(id, { attestation, allocationPolicy: 'custom', customAllocationDefinition: { webhookUrl, apiVersion: '2019-03-31' } });
    const client = registering(Transport, withKey(id, attestation.symmetricKey.primaryKey));
    const asked = once(server, 'request');
    const going = client.register();
    const [, response] = await asked;
    // Over HTTP the SDK's cancel does nothing.
    if (name !== 'Http') {
      await client.cancel();
      await assert.rejects(going, { name: 'OperationCancelledError' });
    }
    response.end(JSON.stringify({ iotHubHostName: hubs[1] }));
    if (name === 'Http') assert.equal((await going).assignedHub, hubs[1]);
    await becomes('the record', async () => (await owner.getDeviceRegistrationState(id).catch(() => ({}))).responseBody?.status === 'assigned');
  });

  test(`${name}: a service's own host name, and callbacks`, { timeout: patience }, async () => {
    const id = `Own-${name}`;
    const attestation = keyed();
    await enroll(id, { attestation });
    const client = registering(Transport, withKey(id, attestation.symmetricKey.primaryKey), { at: host });
    const assigned = await new Promise((resolve, reject) => { client.register((err, result) => (err ? reject(err) : resolve(result))); });
    assert.equal(assigned.status, 'assigned');
    await client.cancel();
  });

  test(`${name}: a deleted provisioning service refuses devices`, { timeout: patience }, async () => {
    const resource = `${setting('EVENKEEL_ARM_DEVICES')}/provisioningServices/node-dps-${name}`;
    const key = newKey();
    await arm('PUT', resource, '2022-12-12', {
      location: 'westeurope', sku: { name: 'S1', capacity: 1 },
      properties: { authorizationPolicies: [{ keyName: 'owner', primaryKey: key, secondaryKey: newKey(), rights: 'EnrollmentWrite' }] },
    });
    const { properties: { idScope } } = await arm('GET', resource, '2022-12-12');
    assert.notEqual(idScope, scope);
    const attestation = keyed();
    await as('owner', key, `node-dps-${name}.azure-devices-provisioning.net`).createOrUpdateIndividualEnrollment({ registrationId: 'a', attestation });
    const go = () => register(Transport, withKey('a', attestation.symmetricKey.primaryKey), { idScope });
    await assert.rejects(go(), failed(401001, /IoTHub not found/), 'no hub is linked');
    await arm('DELETE', resource, '2022-12-12');
    await assert.rejects(go(), refused(401002, 'Unauthorized'));
  });
}
