'use strict';
// Azure's service SDK for the Device Provisioning Service: each of its methods, as promises and with callbacks, and their errors.

const assert = require('node:assert/strict');
const test = require('node:test');
const { arm, as, derived, host, hubs, keyed, newKey, pem, policies, refusal, register, setting, transports, withKey } = require('./dps');
const { ProvisioningServiceClient } = require('azure-iot-provisioning-service');
const { SharedAccessSignature } = require('azure-iot-common');

const owner = as('owner');
const etagForm = /^[A-Za-z0-9+/]+=*$/;
const timeForm = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z$/;

// called is what a method gives to its callback.
const called = (method, ...given) => new Promise((resolve, reject) => {
  owner[method](...given, (err, result, response) => (err ? reject(err) : resolve({ result, response })));
});

// refused checks the SDK's error and what the service said.
function refused(name, errorCode) {
  return (err) => {
    assert.equal(err.name, name, `${err.name}: ${err.message} ${err.responseBody}`);
    const body = refusal(err);
    assert.equal(body.errorCode, errorCode, err.responseBody);
    assert.equal(Math.floor(errorCode / 1000), err.response.statusCode);
    assert.ok(body.message && body.trackingId);
    assert.match(body.timestampUtc, timeForm);
    assert.equal(err.response.headers['x-ms-error-code'], String(errorCode));
    assert.match(err.response.headers['content-type'], /^application\/json/);
    return true;
  };
}

// absent checks for a 404, for which the SDK has no separate error.
const absent = (err) => {
  assert.equal(err.message, 'Not found');
  assert.equal(refusal(err).errorCode, 404201, err.responseBody);
  return true;
};

test('an individual enrollment is created, read, changed and deleted', async () => {
  const { responseBody: made, httpResponse } = await owner.createOrUpdateIndividualEnrollment({ registrationId: 'life', attestation: { type: 'symmetricKey' } });
  assert.equal(httpResponse.statusCode, 200);
  assert.equal(Buffer.from(made.attestation.symmetricKey.primaryKey, 'base64').length, 64);
  assert.notEqual(made.attestation.symmetricKey.primaryKey, made.attestation.symmetricKey.secondaryKey);
  assert.match(made.etag, etagForm);
  assert.match(made.createdDateTimeUtc, timeForm);
  assert.equal(made.createdDateTimeUtc, made.lastUpdatedDateTimeUtc);

  const { responseBody: read } = await owner.getIndividualEnrollment('life');
  assert.equal(read.etag, made.etag);
  assert.deepEqual(read.attestation, { type: 'symmetricKey' }, 'keys are shown by PUT and attestationmechanism only');
  assert.deepEqual(read.registrationState, { registrationId: 'life', status: 'unassigned' });

  const { responseBody: changed } = await owner.createOrUpdateIndividualEnrollment({ ...made, deviceId: 'other' });
  assert.equal(changed.deviceId, 'other');
  assert.notEqual(changed.etag, made.etag);
  assert.equal(changed.createdDateTimeUtc, made.createdDateTimeUtc);
  assert.deepEqual(changed.attestation, made.attestation);
  await assert.rejects(owner.createOrUpdateIndividualEnrollment({ ...made, deviceId: 'late' }), refused('InvalidEtagError', 412001));
  await assert.rejects(owner.deleteIndividualEnrollment(made), refused('InvalidEtagError', 412001));
  await assert.rejects(owner.deleteIndividualEnrollment('life', made.etag), refused('InvalidEtagError', 412001));
  assert.equal((await owner.getIndividualEnrollment('life')).responseBody.deviceId, 'other', 'a refused change changes nothing');

  await owner.deleteIndividualEnrollment(changed);
  await assert.rejects(owner.getIndividualEnrollment('life'), absent);
  await assert.rejects(owner.deleteIndividualEnrollment('life'), absent);
});

test('an enrollment group is created, read, changed and deleted', async () => {
  const { responseBody: made } = await owner.createOrUpdateEnrollmentGroup({ enrollmentGroupId: 'Life', attestation: { type: 'symmetricKey' } });
  assert.equal(made.enrollmentGroupId, 'Life');
  const { responseBody: read } = await owner.getEnrollmentGroup('life');
  assert.equal(read.etag, made.etag);
  assert.equal(read.registrationState, undefined);
  const { responseBody: changed } = await owner.createOrUpdateEnrollmentGroup({ ...made, provisioningStatus: 'disabled' });
  assert.equal(changed.provisioningStatus, 'disabled');
  await assert.rejects(owner.createOrUpdateEnrollmentGroup(made), refused('InvalidEtagError', 412001));
  await assert.rejects(owner.deleteEnrollmentGroup(made), refused('InvalidEtagError', 412001));
  await assert.rejects(owner.deleteEnrollmentGroup('Life', made.etag), refused('InvalidEtagError', 412001));
  await owner.deleteEnrollmentGroup('Life', changed.etag);
  await assert.rejects(owner.getEnrollmentGroup('Life'), absent);
  await assert.rejects(owner.deleteEnrollmentGroup('Life'), absent);
});

test('every method takes a callback', async () => {
  const enrollment = { registrationId: 'called', attestation: keyed() };
  const group = { enrollmentGroupId: 'called', attestation: keyed() };
  const { result: made } = await called('createOrUpdateIndividualEnrollment', enrollment);
  assert.equal((await called('getIndividualEnrollment', 'called')).result.etag, made.etag);
  assert.deepEqual((await called('getIndividualEnrollmentAttestationMechanism', 'called')).result, enrollment.attestation);
  await called('createOrUpdateEnrollmentGroup', group);
  assert.equal((await called('getEnrollmentGroup', 'called')).response.statusCode, 200);
  assert.deepEqual((await called('getEnrollmentGroupAttestationMechanism', 'called')).result, group.attestation);
  await assert.rejects(called('getDeviceRegistrationState', 'called'), absent);
  await assert.rejects(called('deleteDeviceRegistrationState', 'called'), absent);
  await called('deleteIndividualEnrollment', 'called');
  await called('deleteEnrollmentGroup', 'called');
});

test('only the attestation mechanism returns keys', async () => {
  const attestation = keyed();
  await owner.createOrUpdateIndividualEnrollment({ registrationId: 'keys', attestation });
  await owner.createOrUpdateEnrollmentGroup({ enrollmentGroupId: 'keys', attestation });
  assert.deepEqual((await owner.getIndividualEnrollmentAttestationMechanism('keys')).responseBody, attestation);
  assert.deepEqual((await owner.getEnrollmentGroupAttestationMechanism('KEYS')).responseBody, attestation);
  await assert.rejects(owner.getIndividualEnrollmentAttestationMechanism('none'), absent);
  await assert.rejects(owner.getEnrollmentGroupAttestationMechanism('none'), absent);
});

test('every member of an entry is kept', async () => {
  const common = {
    attestation: keyed(), capabilities: { iotEdge: true }, initialTwin: { tags: { floor: 2 }, properties: { desired: { interval: 1.5, nested: { on: true } } } },
    provisioningStatus: 'disabled', reprovisionPolicy: { updateHubAssignment: true, migrateDeviceData: false }, allocationPolicy: 'custom', iotHubs: [hubs[1]],
    customAllocationDefinition: { webhookUrl: 'https://example.com/allocate?code=secret', apiVersion: '2019-03-31' },
  };
  const shown = { ...common, customAllocationDefinition: { webhookUrl: 'https://example.com/allocate?****', apiVersion: '2019-03-31' } };
  const individual = { registrationId: 'Every.Member:1_a-', deviceId: "dev+ice%#*?!(),=@$'", iotHubHostName: hubs[0], optionalDeviceInformation: { model: 'x', parts: 3 } };
  const { responseBody: made } = await owner.createOrUpdateIndividualEnrollment({ ...individual, ...common });
  const { responseBody: group } = await owner.createOrUpdateEnrollmentGroup({ enrollmentGroupId: 'every', ...common });
  const times = (of) => ({ etag: of.etag, createdDateTimeUtc: of.createdDateTimeUtc, lastUpdatedDateTimeUtc: of.lastUpdatedDateTimeUtc });
  assert.deepEqual(made, { ...individual, ...shown, ...times(made) });
  assert.deepEqual(group, { enrollmentGroupId: 'every', ...shown, ...times(group) });
});

test('attestation by TPM and by certificates', async () => {
  const endorsementKey = 'AToAAQALAAMAsgAgg3GXZ0SEs/gakMyNRqXXJP1S124GUgtk8qHaGzMUaaoABgCAAEMAEAgAAAAAAAEAxsj';
  await assert.rejects(owner.createOrUpdateIndividualEnrollment({ registrationId: 'tpm', attestation: { type: 'tpm', tpm: { endorsementKey } } }), refused('ArgumentError', 400004));
  const tpm = { type: 'tpm', tpm: { endorsementKey: Buffer.from('some key').toString('base64') } };
  assert.deepEqual((await owner.createOrUpdateIndividualEnrollment({ registrationId: 'tpm', attestation: tpm })).responseBody.attestation, tpm);
  await assert.rejects(owner.createOrUpdateEnrollmentGroup({ enrollmentGroupId: 'tpm', attestation: tpm }), refused('ArgumentError', 400004));

  const certificates = (name, certificate) => ({ type: 'x509', x509: { [name]: { primary: { certificate } } } });
  const { responseBody: leaf } = await owner.createOrUpdateIndividualEnrollment({
    registrationId: 'leaf', attestation: certificates('clientCertificates', pem('x509-self.pem')),
  });
  const { primary, secondary } = leaf.attestation.x509.clientCertificates;
  assert.deepEqual(primary, secondary, 'a primary certificate stands for both');
  assert.equal(primary.certificate, undefined);
  assert.equal(primary.info.subjectName, 'CN=x509-self');
  assert.equal(primary.info.version, 3);
  assert.match(primary.info.sha1Thumbprint, /^[0-9A-F]{40}$/);
  assert.match(primary.info.sha256Thumbprint, /^[0-9A-F]{64}$/);
  // A client sends back what it has read, with one change.
  const { responseBody: again } = await owner.createOrUpdateIndividualEnrollment({ ...leaf, provisioningStatus: 'disabled' });
  assert.deepEqual(again.attestation, leaf.attestation);

  const { responseBody: group } = await owner.createOrUpdateEnrollmentGroup({
    enrollmentGroupId: 'signed', attestation: certificates('signingCertificates', Buffer.from(pem('signing.pem')).toString('base64')),
  });
  assert.equal(group.attestation.x509.signingCertificates.primary.info.issuerName, 'CN=root');
  const references = { type: 'x509', x509: { caReferences: { primary: 'root', secondary: 'root' } } };
  assert.deepEqual((await owner.createOrUpdateEnrollmentGroup({ enrollmentGroupId: 'referring', attestation: references })).responseBody.attestation, references);
  assert.deepEqual((await owner.getEnrollmentGroupAttestationMechanism('referring')).responseBody, references);
});

test('invalid entries are refused and not stored', async () => {
  const attestation = keyed();
  const bad = {
    'no attestation': { },
    'an unknown attestation': { attestation: { type: 'password' } },
    'a key that is no base64': { attestation: { type: 'symmetricKey', symmetricKey: { primaryKey: '?', secondaryKey: '?' } } },
    'a short key': { attestation: keyed(Buffer.alloc(15).toString('base64')) },
    'a hub that is not linked': { attestation, allocationPolicy: 'hashed', iotHubs: ['hub-9.azure-devices.net'] },
    'an unknown policy': { attestation, allocationPolicy: 'random' },
    'an unknown status': { attestation, provisioningStatus: 'paused' },
    'half a reprovisioning policy': { attestation, reprovisionPolicy: { updateHubAssignment: true } },
    'custom allocation without a webhook': { attestation, allocationPolicy: 'custom' },
    'a device id with a space': { attestation, deviceId: 'a b' },
    'certificates that are none': { attestation: { type: 'x509', x509: { clientCertificates: { primary: { certificate: 'AAAA' } } } } },
  };
  for (const [name, entry] of Object.entries(bad)) {
    await assert.rejects(owner.createOrUpdateIndividualEnrollment({ registrationId: 'bad', ...entry }), refused('ArgumentError', 400004), name);
  }
  for (const registrationId of ['ends-with.', 'a b', 'ü', 'x'.repeat(129)]) {
    await assert.rejects(owner.createOrUpdateIndividualEnrollment({ registrationId, attestation }), refused('ArgumentError', 400004), registrationId);
  }
  await assert.rejects(owner.getIndividualEnrollment('bad'), absent);
});

// pages reads a query to its end.
async function pages(query) {
  const found = [];
  for (let n = 0; query.hasMoreResults; n += 1) {
    assert.ok(n < 100, 'a query without end');
    const { responseBody, httpResponse } = await query.next(query.continuationToken);
    found.push(responseBody);
    assert.ok(httpResponse.headers['x-ms-item-type']);
  }
  return found;
}

test('queries come in pages', async () => {
  const ids = Array.from({ length: 5 }, (_, i) => `page-${i}`);
  for (const id of ids) {
    await owner.createOrUpdateIndividualEnrollment({ registrationId: id, attestation: keyed() });
    await owner.createOrUpdateEnrollmentGroup({ enrollmentGroupId: id, attestation: keyed() });
  }
  // The service requires a query but ignores its text.
  for (const query of ['*', 'SELECT * FROM enrollments', "SELECT * FROM enrollments WHERE registrationId = 'page-1'"]) {
    const individuals = await pages(owner.createIndividualEnrollmentQuery({ query }, 2));
    assert.ok(individuals.every((page) => page.length <= 2));
    const all = individuals.flat();
    assert.deepEqual(all.map((one) => one.registrationId).filter((id) => id.startsWith('page-')), ids);
    assert.ok(all.every((one) => !one.attestation.symmetricKey), 'no keys in a query');
  }
  const groups = (await pages(owner.createEnrollmentGroupQuery({ query: 'SELECT * FROM enrollmentGroups' }))).flat();
  assert.deepEqual(groups.map((one) => one.enrollmentGroupId).filter((id) => id.startsWith('page-')), ids);

  const query = owner.createIndividualEnrollmentQuery({ query: '*' }, 1);
  await new Promise((resolve, reject) => { query.next((err, page) => (err ? reject(err) : resolve(assert.equal(page.length, 1)))); });
  await assert.rejects(query.next('a token of another'), refused('ArgumentError', 400004));
  await assert.rejects(owner.createEnrollmentGroupQuery({ query: '*' }, 2).next(query.continuationToken), refused('ArgumentError', 400004));
  await assert.rejects(owner.createIndividualEnrollmentQuery({}).next(), refused('ArgumentError', 400004));
  await assert.rejects(owner.createIndividualEnrollmentQuery({ query: '*' }, 'many').next(), refused('ArgumentError', 400004));
});

test('registrations of devices are read, queried and deleted', async () => {
  const key = newKey();
  await owner.createOrUpdateEnrollmentGroup({ enrollmentGroupId: 'records', attestation: keyed(key) });
  const ids = ['record-1', 'record-2', 'record-3'];
  for (const id of ids) await register(transports.Http, withKey(id, derived(key, id)));

  const { responseBody: one } = await owner.getDeviceRegistrationState('record-1');
  assert.deepEqual([one.registrationId, one.deviceId, one.status, one.substatus], ['record-1', 'record-1', 'assigned', 'initialAssignment']);
  assert.ok(hubs.includes(one.assignedHub));
  assert.match(one.createdDateTimeUtc, timeForm);
  assert.match(one.lastUpdatedDateTimeUtc, timeForm);
  assert.match(one.etag, etagForm);

  const all = await pages(owner.createEnrollmentGroupDeviceRegistrationStateQuery({ query: '*' }, 'records', 2));
  assert.deepEqual(all.map((page) => page.length), [2, 1]);
  assert.deepEqual(all.flat().map((record) => record.registrationId), ids);
  assert.deepEqual(all[0][0], one);

  await assert.rejects(owner.deleteDeviceRegistrationState({ ...one, etag: 'AAAA' }), refused('InvalidEtagError', 412001));
  await owner.deleteDeviceRegistrationState(one);
  await assert.rejects(owner.getDeviceRegistrationState('record-1'), absent);
  await owner.deleteDeviceRegistrationState('record-2');
  await assert.rejects(owner.deleteDeviceRegistrationState('record-2'), absent);
  // Deleting a group keeps its registration records.
  await owner.deleteEnrollmentGroup('records');
  assert.equal((await pages(owner.createEnrollmentGroupDeviceRegistrationStateQuery({ query: '*' }, 'records'))).flat().length, 1);
  // The enrollment of an assigned device shows its registration.
  await owner.createOrUpdateIndividualEnrollment({ registrationId: 'record-4', attestation: keyed(key), deviceId: 'device-4' });
  await register(transports.Http, withKey('record-4', key));
  const { responseBody: entry } = await owner.getIndividualEnrollment('record-4');
  assert.equal(entry.registrationState.status, 'assigned');
  assert.equal(entry.registrationState.deviceId, 'device-4');
});

// bulk runs a bulk operation. The promise form of the SDK's method never ends.
const bulk = (mode, enrollments) => called('runBulkEnrollmentOperation', { mode, enrollments });

test('bulk operations succeed and fail by entry', async () => {
  const entry = (registrationId, more) => ({ registrationId, attestation: keyed(), ...more });
  const { result: made, response } = await bulk('create', [entry('bulk-1'), entry('bulk-2')]);
  assert.equal(response.statusCode, 200);
  assert.deepEqual(made, { isSuccessful: true, errors: [] });

  const { result: partial } = await bulk('create', [entry('bulk-2'), entry('bulk-3'), { registrationId: 'bulk-4' }]);
  assert.equal(partial.isSuccessful, false);
  assert.deepEqual(partial.errors.map((e) => [e.registrationId, e.errorCode]), [['bulk-2', 409201], ['bulk-4', 400004]]);
  assert.equal(partial.errors[0].errorStatus, 'Enrollment already exists.');
  assert.equal((await owner.getIndividualEnrollment('bulk-3')).responseBody.registrationId, 'bulk-3');
  await assert.rejects(owner.getIndividualEnrollment('bulk-4'), absent);

  const { responseBody: read } = await owner.getIndividualEnrollment('bulk-1');
  const { result: updated } = await bulk('updateIfMatchETag', [entry('bulk-1', { etag: read.etag, deviceId: 'renamed' }), entry('bulk-2', { etag: read.etag })]);
  assert.deepEqual(updated.errors.map((e) => [e.registrationId, e.errorCode]), [['bulk-2', 412001]]);
  assert.equal((await owner.getIndividualEnrollment('bulk-1')).responseBody.deviceId, 'renamed');
  const { result: absentOnes } = await bulk('update', [entry('bulk-9')]);
  assert.deepEqual(absentOnes.errors.map((e) => [e.registrationId, e.errorCode]), [['bulk-9', 404201]]);

  const { result: deleted } = await bulk('delete', [{ registrationId: 'bulk-1' }, { registrationId: 'bulk-2' }, { registrationId: 'bulk-9' }]);
  assert.deepEqual(deleted.errors.map((e) => [e.registrationId, e.errorCode]), [['bulk-9', 404201]]);
  await assert.rejects(owner.getIndividualEnrollment('bulk-1'), absent);

  await assert.rejects(bulk('replace', [entry('bulk-5')]), refused('ArgumentError', 400004));
  await assert.rejects(bulk('create', []), refused('ArgumentError', 400004));
  await assert.rejects(bulk('create', Array.from({ length: 11 }, (_, i) => entry(`bulk-many-${i}`))), refused('ArgumentError', 400004));
  await assert.rejects(owner.getIndividualEnrollment('bulk-many-0'), absent);
});

const unauthorized = refused('UnauthorizedError', 401002);

test('unauthorized clients are refused', async () => {
  await owner.createOrUpdateIndividualEnrollment({ registrationId: 'rights', attestation: keyed() });
  await assert.rejects(as('owner', newKey()).getIndividualEnrollment('rights'), unauthorized, 'a wrong key');
  await assert.rejects(as('nobody', newKey()).getIndividualEnrollment('rights'), unauthorized, 'an unknown policy');
  await as('reader').getIndividualEnrollment('rights');
  await as('reader').createIndividualEnrollmentQuery({ query: '*' }).next();
  await assert.rejects(as('reader').createOrUpdateIndividualEnrollment({ registrationId: 'rights', attestation: keyed() }), unauthorized);
  await assert.rejects(as('reader').deleteIndividualEnrollment('rights'), unauthorized);
  await assert.rejects(as('reader').getDeviceRegistrationState('rights'), unauthorized);
  await assert.rejects(as('statusreader').getIndividualEnrollment('rights'), unauthorized);
  await assert.rejects(as('statusreader').getDeviceRegistrationState('rights'), absent);
  await assert.rejects(as('statusreader').deleteDeviceRegistrationState('rights'), unauthorized);
  await assert.rejects(as('devices').createEnrollmentGroupQuery({ query: '*' }).next(), unauthorized);

  const signed = (resource, expiry) => new ProvisioningServiceClient({
    host, sharedAccessSignature: SharedAccessSignature.create(resource, 'owner', policies.owner, expiry).toString(),
  });
  const soon = Math.floor(Date.now() / 1000) + 60;
  await signed(host, soon).getIndividualEnrollment('rights');
  await signed(`${host}/enrollments`, soon).getIndividualEnrollment('rights');
  await assert.rejects(signed(host, soon - 120).getIndividualEnrollment('rights'), unauthorized, 'expired');
  await assert.rejects(signed(`${host}/enrollmentGroups`, soon).getIndividualEnrollment('rights'), unauthorized, 'for another path');
  await assert.rejects(signed('other.azure-devices-provisioning.net', soon).getIndividualEnrollment('rights'), unauthorized, 'for another service');
});

test('tokens of Microsoft Entra ID are accepted', async () => {
  const holder = (token) => ProvisioningServiceClient.fromTokenCredential(host, { getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 3600_000 }) });
  const entra = holder(setting('EVENKEEL_DPS_TOKEN'));
  await entra.createOrUpdateIndividualEnrollment({ registrationId: 'entra', attestation: keyed() });
  assert.equal((await entra.getIndividualEnrollment('entra')).responseBody.registrationId, 'entra');
  await entra.deleteIndividualEnrollment('entra');
  await assert.rejects(holder(setting('EVENKEEL_ARM_TOKEN')).getIndividualEnrollment('entra'), unauthorized, 'for another service');
  await assert.rejects(holder('nonsense').getIndividualEnrollment('entra'), unauthorized);
});

test('a deleted service does not answer', async () => {
  const resource = `${setting('EVENKEEL_ARM_DEVICES')}/provisioningServices/node-dps-gone`;
  const key = newKey();
  await arm('PUT', resource, '2022-12-12', {
    location: 'westeurope', sku: { name: 'S1', capacity: 1 },
    properties: { authorizationPolicies: [{ keyName: 'owner', primaryKey: key, secondaryKey: newKey(), rights: 'EnrollmentWrite' }] },
  });
  const gone = as('owner', key, 'node-dps-gone.azure-devices-provisioning.net');
  await gone.createOrUpdateIndividualEnrollment({ registrationId: 'a', attestation: keyed() });
  await arm('DELETE', resource, '2022-12-12');
  await assert.rejects(gone.getIndividualEnrollment('a'), (err) => {
    assert.equal(refusal(err).errorCode, 404202, err.responseBody);
    return true;
  });
});
