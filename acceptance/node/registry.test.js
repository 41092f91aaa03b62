'use strict';
// Every call of Azure's Registry for Node: its effect and its errors.

const assert = require('node:assert/strict');
const test = require('node:test');
const { hub, makeDevice, newKey, patience, registry, sas, service, setting } = require('./support');
const { Registry } = require('azure-iothub');

const options = { timeout: 2 * patience };
const zero = /^0001-01-01T00:00:00/;

// refused checks the error's name and, if given, its text.
function refused(promise, name, text = /./) {
  return assert.rejects(promise, (err) => {
    assert.equal(err.name, name, `${err.name}: ${err.message} ${err.responseBody}`);
    assert.match(`${err.message} ${err.responseBody}`, text);
    return true;
  });
}

test('create, with only an id', options, async () => {
  const { responseBody: made, httpResponse } = await registry.create({ deviceId: 'reg-plain' });
  assert.equal(httpResponse.statusCode, 200);
  assert.equal(httpResponse.headers.etag, `"${made.etag}"`);
  assert.equal(made.status, 'enabled');
  assert.equal(made.statusReason, null);
  assert.equal(made.connectionState, 'Disconnected');
  for (const time of ['connectionStateUpdatedTime', 'statusUpdatedTime', 'lastActivityTime']) assert.match(made[time], zero);
  assert.equal(made.cloudToDeviceMessageCount, 0);
  assert.match(made.generationId, /^\d{18}$/);
  assert.equal(made.authentication.type, 'sas');
  for (const key of ['primaryKey', 'secondaryKey']) assert.ok(Buffer.from(made.authentication.symmetricKey[key], 'base64').length >= 32, key);
  assert.deepEqual(made.capabilities, { iotEdge: false });
  assert.deepEqual((await registry.get('reg-plain')).responseBody.authentication, made.authentication);
});

test('create, with every kind of authentication', options, async () => {
  const print = 'A'.repeat(40);
  for (const [id, authentication, want] of [
    ['reg-keys', { symmetricKey: { primaryKey: newKey(), secondaryKey: newKey() } }, { type: 'sas' }],
    ['reg-print', { x509Thumbprint: { primaryThumbprint: print, secondaryThumbprint: 'b'.repeat(64) } }, { type: 'selfSigned' }],
    ['reg-ca', { type: 'certificateAuthority' }, { type: 'certificateAuthority' }],
  ]) {
    const { responseBody: made } = await registry.create({ deviceId: id, authentication, status: 'disabled', statusReason: 'new', capabilities: { iotEdge: true } });
    assert.equal(made.authentication.type, want.type, id);
    assert.equal(made.status, 'disabled', id);
    assert.equal(made.statusReason, 'new', id);
    assert.equal(made.capabilities.iotEdge, true, id);
    if (authentication.symmetricKey) assert.deepEqual(made.authentication.symmetricKey, authentication.symmetricKey);
    else assert.deepEqual(made.authentication.symmetricKey, { primaryKey: null, secondaryKey: null }, id);
    if (id === 'reg-print') assert.deepEqual(made.authentication.x509Thumbprint, { primaryThumbprint: print, secondaryThumbprint: 'B'.repeat(64) });
  }
});

test('create, refused', options, async () => {
  await registry.create({ deviceId: 'reg-twice' });
  await refused(registry.create({ deviceId: 'reg-twice' }), 'DeviceAlreadyExistsError', /DeviceAlreadyExists/);
  for (const bad of [
    { deviceId: 'a b' }, { deviceId: 'x'.repeat(129) }, { deviceId: 'ü' }, { deviceId: 'reg-bad', status: 'asleep' },
    { deviceId: 'reg-bad', statusReason: 'x'.repeat(129) },
    { deviceId: 'reg-bad', authentication: { symmetricKey: { primaryKey: 'no base64!', secondaryKey: newKey() } } },
    { deviceId: 'reg-bad', authentication: { type: 'selfSigned', x509Thumbprint: { primaryThumbprint: 'xyz' } } },
    { deviceId: 'reg-bad', authentication: { type: 'magic' } },
  ]) await refused(registry.create(bad), 'ArgumentError', /ArgumentInvalid/);
  await refused(registry.get('reg-bad'), 'DeviceNotFoundError');
});

test('ids with every allowed character, case-sensitive', options, async () => {
  const id = "Reg-.%_*?!(),:=@$'9";
  await registry.create({ deviceId: id });
  await registry.create({ deviceId: id.toLowerCase() });
  assert.equal((await registry.get(id)).responseBody.deviceId, id);
  assert.equal((await registry.getTwin(id)).responseBody.deviceId, id);
  await registry.delete(id);
  await refused(registry.get(id), 'DeviceNotFoundError');
  assert.equal((await registry.get(id.toLowerCase())).responseBody.deviceId, id.toLowerCase());
});

test('update overwrites, whatever the etag says', options, async () => {
  const { responseBody: made } = await registry.create({ deviceId: 'reg-update' });
  const { responseBody: changed } = await registry.update({ ...made, status: 'disabled', statusReason: 'lost' });
  assert.notEqual(changed.etag, made.etag);
  assert.equal(changed.generationId, made.generationId);
  assert.ok(!zero.test(changed.statusUpdatedTime), changed.statusUpdatedTime);
  const { responseBody: again } = await registry.update({ ...made, status: 'enabled' });
  assert.equal(again.status, 'enabled');
  const { responseBody: keyed } = await registry.update({ deviceId: 'reg-update', authentication: { symmetricKey: { primaryKey: newKey(), secondaryKey: newKey() } } });
  assert.notDeepEqual(keyed.authentication.symmetricKey, made.authentication.symmetricKey);
  const { responseBody: certified } = await registry.update({ deviceId: 'reg-update', authentication: { x509Thumbprint: { primaryThumbprint: 'C'.repeat(40) } } });
  assert.equal(certified.authentication.type, 'selfSigned');
  assert.equal(certified.authentication.symmetricKey.primaryKey, null);
  await refused(registry.update({ deviceId: 'reg-never' }), 'DeviceNotFoundError');
});

test('get, list and delete', options, async () => {
  await registry.create({ deviceId: 'reg-list' });
  const { responseBody: all } = await registry.list();
  assert.ok(all.some((one) => one.deviceId === 'reg-list'));
  assert.equal((await registry.delete('reg-list')).httpResponse.statusCode, 204);
  await refused(registry.delete('reg-list'), 'DeviceNotFoundError', /DeviceNotFound/);
  await refused(registry.get('reg-list'), 'DeviceNotFoundError');
});

test('statistics', options, async () => {
  await makeDevice('reg-statistics', { status: 'disabled' });
  const { responseBody: n } = await registry.getRegistryStatistics();
  assert.equal(n.totalDeviceCount, n.enabledDeviceCount + n.disabledDeviceCount);
  assert.ok(n.disabledDeviceCount >= 1);
});

// failures are the errors of a bulk operation that failed, as "device code".
async function failures(promise) {
  let found;
  await assert.rejects(promise, (err) => {
    assert.equal(err.name, 'ArgumentError');
    const body = JSON.parse(err.responseBody);
    assert.equal(body.isSuccessful, false);
    found = body.errors.map((one) => `${one.deviceId} ${one.errorCode}`);
    return true;
  });
  return found;
}

test('addDevices, updateDevices and removeDevices', options, async () => {
  const many = Array.from({ length: 100 }, (_, i) => ({ deviceId: `bulk-${i}` }));
  const { responseBody: added } = await registry.addDevices(many);
  assert.deepEqual(added, { isSuccessful: true, errors: [], warnings: [] });
  assert.deepEqual(await failures(registry.addDevices([{ deviceId: 'bulk-1' }, { deviceId: 'bulk-new' }])), ['bulk-1 DeviceAlreadyExists']);
  assert.equal((await registry.get('bulk-new')).responseBody.status, 'enabled', 'the others of a failed operation are done');

  const { responseBody: first } = await registry.get('bulk-1');
  assert.equal((await registry.updateDevices([{ ...first, status: 'disabled' }], false)).responseBody.isSuccessful, true);
  assert.equal((await registry.get('bulk-1')).responseBody.status, 'disabled');
  assert.deepEqual(await failures(registry.updateDevices([{ ...first, status: 'enabled' }], false)), ['bulk-1 PreconditionFailed']);
  assert.equal((await registry.updateDevices([{ ...first, status: 'enabled' }], true)).responseBody.isSuccessful, true);
  assert.deepEqual(await failures(registry.updateDevices([{ deviceId: 'bulk-never' }], true)), ['bulk-never DeviceNotFound']);

  assert.deepEqual(await failures(registry.removeDevices([first], false)), ['bulk-1 PreconditionFailed']);
  const { responseBody: present } = await registry.get('bulk-1');
  assert.equal((await registry.removeDevices([present], false)).responseBody.isSuccessful, true);
  assert.deepEqual(await failures(registry.removeDevices(many.slice(0, 2), true)), ['bulk-1 DeviceNotFound']);
  assert.equal((await registry.removeDevices(many.slice(2), true)).responseBody.isSuccessful, true);
});

test('queries, by pages and as twins', options, async () => {
  for (let i = 0; i < 5; i++) {
    await makeDevice(`query-${i}`);
    await registry.updateTwin(`query-${i}`, { tags: { floor: i, part: i % 2 ? 'odd' : 'even' }, properties: { desired: { load: i * 10 } } }, '*');
  }
  const ids = async (where) => {
    const { result } = await registry.createQuery(`SELECT deviceId FROM devices WHERE STARTSWITH(deviceId, 'query-') AND (${where})`).next();
    return result.map((row) => row.deviceId.slice(-1)).join('');
  };
  for (const [where, want] of Object.entries({
    'tags.floor = 2': '2', 'tags.floor != 2': '0134', 'tags.floor <> 2': '0134', 'tags.floor > 2': '34', 'tags.floor <= 1': '01',
    "tags.part = 'odd' AND properties.desired.load >= 30": '3', "tags.part = 'odd' OR tags.floor = 0": '013', "NOT tags.part = 'odd'": '024',
    "tags.part IN ['even', 'none']": '024', "tags.part NIN ['even']": '13', 'IS_DEFINED(tags.floor)': '01234', 'IS_DEFINED(tags.none)': '',
    "ENDSWITH(deviceId, '3')": '3', "status = 'enabled' AND connectionState = 'Disconnected'": '01234', 'properties.reported.none = 1': '',
  })) assert.equal(await ids(where), want, where);

  const query = registry.createQuery("SELECT * FROM devices WHERE STARTSWITH(deviceId, 'query-')", 2);
  const pages = [];
  while (query.hasMoreResults) pages.push((await query.nextAsTwin()).result);
  assert.deepEqual(pages.map((page) => page.length), [2, 2, 1]);
  const [twin] = pages[2];
  await twin.update({ tags: { seen: true } });
  assert.equal(twin.tags.seen, true);

  const rows = async (text) => (await registry.createQuery(text).next()).result;
  assert.deepEqual(
    await rows("SELECT tags.part AS part, COUNT() AS n, AVG(properties.desired.load) AS a FROM devices WHERE STARTSWITH(deviceId, 'query-') GROUP BY tags.part"),
    [{ part: 'even', n: 3, a: 20 }, { part: 'odd', n: 2, a: 20 }],
  );
  assert.deepEqual(await rows("SELECT deviceId AS id, tags.floor FROM devices WHERE deviceId = 'query-3'"), [{ id: 'query-3', floor: 3 }]);
  assert.deepEqual(await rows('SELECT * FROM devices.modules'), []);
  await refused(registry.createQuery('SELECT nothing').next(), 'ArgumentError', /ArgumentInvalid/);
  await refused(registry.createQuery('SELECT * FROM devices').next('another token'), 'ArgumentError', /continuation/);
});

test('tokens: of a policy, of Entra ID, and wrong ones', options, async () => {
  const key = setting('EVENKEEL_OPERATOR_KEY');
  const signed = Registry.fromSharedAccessSignature(sas(hub, key, 3600, 'operator'));
  assert.ok((await signed.list()).responseBody.length > 0);
  // RegistryWrite implies RegistryRead.
  const linking = Registry.fromConnectionString(service('link', setting('EVENKEEL_LINK_KEY')));
  assert.ok((await linking.list()).responseBody.length > 0);
  const credential = { getToken: async () => ({ token: setting('EVENKEEL_HUB_TOKEN'), expiresOnTimestamp: Date.now() + 3_600_000 }) };
  assert.ok((await Registry.fromTokenCredential(hub, credential).list()).responseBody.length > 0);
  const forged = { getToken: async () => ({ token: 'a.b.c', expiresOnTimestamp: Date.now() + 3_600_000 }) };
  for (const bad of [
    Registry.fromTokenCredential(hub, forged),
    Registry.fromConnectionString(service('operator', newKey())),
    Registry.fromConnectionString(service('nobody')),
    Registry.fromSharedAccessSignature(sas(hub, key, -60, 'operator')),
  ]) await refused(bad.list(), 'UnauthorizedError', /IotHubUnauthorizedAccess/);
});

test('unsupported features are refused, and their lists are empty', options, async () => {
  await makeDevice('reg-absent');
  assert.deepEqual((await registry.listJobs()).responseBody, []);
  await refused(registry.getJob('j'), 'Error', /JobNotFound/);
  await refused(registry.cancelJob('j'), 'Error', /JobNotFound/);
  await refused(registry.importDevicesFromBlob('https://a', 'https://b'), 'Error', /NotImplemented/);
  await refused(registry.exportDevicesToBlob('https://a', false), 'Error', /NotImplemented/);
  await refused(registry.importDevicesFromBlobByIdentity('https://a', 'https://b'), 'Error', /NotImplemented/);
  await refused(registry.exportDevicesToBlobByIdentity('https://a', false), 'Error', /NotImplemented/);

  const configuration = { id: 'c', content: { deviceContent: {} }, targetCondition: '*', priority: 1 };
  assert.deepEqual((await registry.getConfigurations()).responseBody, []);
  await refused(registry.addConfiguration(configuration), 'Error', /NotImplemented/);
  await refused(registry.updateConfiguration(configuration, true), 'Error', /NotImplemented/);
  await refused(registry.getConfiguration('c'), 'Error', /ConfigurationNotFound/);
  await refused(registry.removeConfiguration('c'), 'Error', /ConfigurationNotFound/);
  await refused(registry.applyConfigurationContentOnDevice('reg-absent', { deviceContent: {} }), 'Error', /NotImplemented/);

  const module = { deviceId: 'reg-absent', moduleId: 'm' };
  assert.deepEqual((await registry.getModulesOnDevice('reg-absent')).responseBody, []);
  await refused(registry.addModule(module), 'Error', /NotImplemented/);
  await refused(registry.updateModule(module, true), 'Error', /NotImplemented/);
  await refused(registry.getModule('reg-absent', 'm'), 'Error', /ModuleNotFound/);
  await refused(registry.removeModule('reg-absent', 'm'), 'Error', /ModuleNotFound/);
  await refused(registry.getModuleTwin('reg-absent', 'm'), 'Error', /ModuleNotFound/);
  await refused(registry.updateModuleTwin('reg-absent', 'm', { tags: {} }, '*'), 'Error', /ModuleNotFound/);
  await refused(registry.getModulesOnDevice('reg-never'), 'DeviceNotFoundError');
});
