'use strict';
// Azure's newest management clients for Node, and each client with the newest stable api-version: whole lives of a hub
// and of a provisioning service.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
const { ClientSecretCredential } = require('@azure/identity');
const { IotDpsClient } = require('@azure/arm-deviceprovisioningservices');
const { IotHubClient } = require('@azure/arm-iothub');
const { ResourceManagementClient } = require('@azure/arm-resources');

function setting(name) {
  const value = process.env[name];
  assert.ok(value, `${name} is not set: run this through the Go test (make node)`);
  return value;
}

const endpoint = setting('EVENKEEL_ARM');
const credential = new ClientSecretCredential(setting('EVENKEEL_TENANT'), setting('EVENKEEL_CLIENT'), setting('EVENKEEL_CLIENT_SECRET'),
  { authorityHost: endpoint, disableInstanceDiscovery: true });
// calls are the requests that the clients sent, as "METHOD api-version".
const calls = [];
const recorder = {
  name: 'recorder',
  sendRequest(request, next) {
    const { searchParams } = new URL(request.url);
    if (searchParams.has('api-version')) calls.push(`${request.method} ${searchParams.get('api-version')}`);
    return next(request);
  },
};
const client = (Client, options) => new Client(credential, setting('EVENKEEL_SUBSCRIPTION'), {
  endpoint, ...options, additionalPolicies: [{ policy: recorder, position: 'perRetry' }],
});
const manager = client(ResourceManagementClient);
const group = 'node-today';
const location = 'westeurope';
const sku = { name: 'S1', capacity: 1 };
const root = fs.readFileSync(path.join(setting('EVENKEEL_CERTIFICATES'), 'root.pem'));

async function all(pages) {
  const items = [];
  for await (const item of pages) items.push(item);
  return items;
}

const refused = (promise, statusCode) => assert.rejects(promise, (err) => {
  assert.equal(err.statusCode, statusCode, `${err.name} ${err.code}: ${err.message}`);
  return true;
});

// sentOnly checks that requests were sent, all with one api-version.
function sentOnly(version) {
  assert.deepEqual([...new Set(calls.map((call) => call.split(' ')[1]))], [version], calls.join(', '));
}

test.before(() => manager.resourceGroups.createOrUpdate(group, { location }));
test.beforeEach(() => calls.splice(0));

for (const [version, options] of [['2023-06-30', {}], ['2026-11-01', { apiVersion: '2026-11-01' }]]) {
  test(`the life of a hub, api-version ${version}`, async () => {
    const hubs = client(IotHubClient, options);
    const resource = hubs.iotHubResource;
    const name = `node-today-${version}`;
    assert.equal((await resource.checkNameAvailability({ name })).nameAvailable, true);
    const made = await resource.beginCreateOrUpdateAndWait(group, name, { location, sku });
    assert.equal(made.properties.hostName, `${name}.azure-devices.net`);
    const changed = await resource.beginCreateOrUpdateAndWait(group, name, {
      ...made, properties: { ...made.properties, disableLocalAuth: true, minTlsVersion: '1.2' }, sku: { ...sku, capacity: 2 },
    }, { ifMatch: made.etag });
    assert.deepEqual([changed.properties.disableLocalAuth, changed.sku.capacity], [true, 2]);
    assert.equal((await resource.get(group, name)).etag, changed.etag);
    await refused(resource.beginCreateOrUpdateAndWait(group, name, made, { ifMatch: made.etag }), 412);
    assert.deepEqual((await resource.beginUpdateAndWait(group, name, { tags: { a: 'b' } })).tags, { a: 'b' });
    for (const list of [resource.listBySubscription(), resource.listByResourceGroup(group)]) {
      assert.ok((await all(list)).some((one) => one.name === name));
    }
    assert.equal((await all(resource.listKeys(group, name))).length, 5);
    assert.ok((await resource.getKeysForKeyName(group, name, 'iothubowner')).primaryKey);
    assert.equal((await resource.checkNameAvailability({ name })).nameAvailable, false);
    assert.ok((await all(resource.listValidSkus(group, name))).length > 0);

    await resource.createEventHubConsumerGroup(group, name, 'events', 'readers', { properties: { name: 'readers' } });
    assert.equal((await resource.getEventHubConsumerGroup(group, name, 'events', 'readers')).name, 'readers');
    assert.equal((await all(resource.listEventHubConsumerGroups(group, name, 'events'))).length, 2);
    await resource.deleteEventHubConsumerGroup(group, name, 'events', 'readers');

    const certificate = await hubs.certificates.createOrUpdate(group, name, 'root', { properties: { certificate: root.toString('base64'), isVerified: true } });
    assert.equal(certificate.properties.isVerified, true);
    assert.equal((await hubs.certificates.listByIotHub(group, name)).value.length, 1);
    const code = await hubs.certificates.generateVerificationCode(group, name, 'root', certificate.etag);
    await hubs.certificates.delete(group, name, 'root', code.etag);

    await resource.beginDeleteAndWait(group, name);
    await refused(resource.get(group, name), 404);
    sentOnly(version);
  });
}

for (const [version, options] of [['2026-08-31', {}], ['2026-11-01', { apiVersion: '2026-11-01' }]]) {
  test(`the life of a provisioning service, api-version ${version}`, async () => {
    const hubs = client(IotHubClient).iotHubResource;
    const services = client(IotDpsClient, options);
    const resource = services.iotDpsResource;
    const [name, linked] = [`node-today-dps-${version}`, `node-today-linked-${version}`];
    await hubs.beginCreateOrUpdateAndWait(group, linked, { location, sku });
    const { primaryKey } = await hubs.getKeysForKeyName(group, linked, 'iothubowner');
    calls.splice(0);

    assert.equal((await resource.checkProvisioningServiceNameAvailability({ name })).nameAvailable, true);
    const hostName = `${linked}.device.azure-devices.net`;
    const made = await resource.createOrUpdate(group, name, {
      location, sku, properties: {
        iotHubs: [{ hostName, location, connectionString: `HostName=${hostName};SharedAccessKeyName=iothubowner;SharedAccessKey=${primaryKey}` }],
      },
    });
    const [link] = made.properties.iotHubs;
    assert.deepEqual([link.name, link.hostName, link.authenticationType], [hostName, hostName, 'KeyBased']);
    assert.match(link.connectionString, /;SharedAccessKey=\*\*\*\*$/);
    const changed = await resource.createOrUpdate(group, name, { ...made, properties: { ...made.properties, disableLocalAuth: true } });
    assert.equal(changed.properties.disableLocalAuth, true);
    assert.equal(changed.properties.iotHubs.length, 1);
    assert.equal((await resource.get(group, name)).properties.disableLocalAuth, true);
    const tagged = await resource.update(group, name, { tags: { a: 'b' } });
    assert.deepEqual([tagged.tags, tagged.properties.disableLocalAuth], [{ a: 'b' }, true]);
    for (const list of [resource.listBySubscription(), resource.listByResourceGroup(group)]) {
      assert.ok((await all(list)).some((one) => one.name === name));
    }
    assert.deepEqual((await all(resource.listKeys(name, group))).map((key) => key.keyName), ['provisioningserviceowner']);
    assert.ok((await resource.listKeysForKeyName(name, 'provisioningserviceowner', group)).primaryKey);
    assert.equal((await resource.checkProvisioningServiceNameAvailability({ name })).nameAvailable, false);
    assert.ok((await all(resource.listValidSkus(name, group))).length > 0);
    assert.deepEqual(await resource.listPrivateEndpointConnections(group, name), []);

    const certificate = await services.dpsCertificate.createOrUpdate(group, name, 'root', { properties: { certificate: root, isVerified: true } });
    assert.equal(certificate.properties.isVerified, true);
    assert.equal((await services.dpsCertificate.list(group, name)).value.length, 1);
    const code = await services.dpsCertificate.generateVerificationCode('root', certificate.etag, group, name);
    await services.dpsCertificate.delete(group, name, 'root', code.etag);

    await refused(resource.createOrUpdate(group, name, { ...made, properties: { iotHubs: [link, link] } }), 400);
    await resource.delete(group, name);
    await refused(resource.get(group, name), 404);
    sentOnly(version);
  });
}
