'use strict';
// Azure's management clients for Node: hubs, provisioning services and groups, by a credential of @azure/identity.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
const { ClientSecretCredential } = require('@azure/identity');
const { IotDpsClient } = require('arm-deviceprovisioningservices-5');
const { IotHubClient } = require('@azure/arm-iothub');
const { ResourceManagementClient } = require('@azure/arm-resources');

function setting(name) {
  const value = process.env[name];
  assert.ok(value, `${name} is not set: run this through the Go test (make node)`);
  return value;
}

const endpoint = setting('EVENKEEL_ARM');
const tenant = setting('EVENKEEL_TENANT');
const subscription = setting('EVENKEEL_SUBSCRIPTION');
const logIn = (secret = setting('EVENKEEL_CLIENT_SECRET'), at = tenant, client = setting('EVENKEEL_CLIENT')) =>
  new ClientSecretCredential(at, client, secret, { authorityHost: endpoint, disableInstanceDiscovery: true });
const credential = logIn();
const client = (Client, more, of = subscription) => new Client(credential, of, { endpoint, ...more });
const hubs = client(IotHubClient);
const services = client(IotDpsClient);
const manager = client(ResourceManagementClient);

const group = 'node-arm';
const hub = { location: 'westeurope', sku: { name: 'S1', capacity: 1 } };
const service = { ...hub, properties: {} };
const root = fs.readFileSync(path.join(setting('EVENKEEL_CERTIFICATES'), 'root.pem'));

const putHub = (name, more, options) => hubs.iotHubResource.beginCreateOrUpdateAndWait(group, name, { ...hub, ...more }, options);
const putService = (name, more) => services.iotDpsResource.beginCreateOrUpdateAndWait(group, name, { ...service, ...more });

// all reads a list to its end.
async function all(pages) {
  const items = [];
  for await (const item of pages) items.push(item);
  return items;
}

// refused checks the status, and the code of a refusal of ARM itself: those of the resource provider have numbers.
const refused = (promise, statusCode, code) => assert.rejects(promise, (err) => {
  assert.equal(err.statusCode, statusCode, `${err.name} ${err.code}: ${err.message}`);
  if (code) assert.equal(err.code, code);
  return true;
});

test.before(() => manager.resourceGroups.createOrUpdate(group, { location: 'westeurope' }));

test('a refused login says why', async () => {
  const scope = 'https://management.azure.com/.default';
  assert.ok((await credential.getToken(scope)).token);
  await assert.rejects(logIn('wrong').getToken(scope), /AADSTS7000215/);
  await assert.rejects(logIn(undefined, tenant, '11111111-1111-1111-1111-111111111111').getToken(scope), /AADSTS700016/);
  await assert.rejects(credential.getToken('https://nothing.example/.default'), /AADSTS500011/);
  await assert.rejects(logIn(undefined, '11111111-1111-1111-1111-111111111111').getToken(scope));
  await refused(client(IotHubClient, { credentialScopes: ['https://iothubs.azure.net/.default'] }).iotHubResource.get(group, 'h'), 401);
  await refused(client(IotHubClient, {}, '11111111-1111-1111-1111-111111111111').iotHubResource.get(group, 'h'), 404, 'SubscriptionNotFound');
});

test('lifecycle of a hub', async () => {
  const made = await putHub('node-arm-hub', { tags: { stage: 'test' } });
  assert.deepEqual([made.properties.state, made.properties.provisioningState, made.properties.hostName], ['Active', 'Succeeded', 'node-arm-hub.azure-devices.net']);
  assert.deepEqual(made.sku, { name: 'S1', tier: 'Standard', capacity: 1 });
  const names = (await all(hubs.iotHubResource.listKeys(group, 'node-arm-hub'))).map((key) => key.keyName);
  assert.deepEqual(names.toSorted(), ['device', 'iothubowner', 'registryRead', 'registryReadWrite', 'service']);
  assert.equal((await hubs.iotHubResource.getKeysForKeyName(group, 'node-arm-hub', 'service')).rights, 'ServiceConnect');

  const bigger = await putHub('node-arm-hub', { ...made, sku: { name: 'S2', capacity: 2 } }, { ifMatch: made.etag });
  assert.equal(bigger.sku.name, 'S2');
  await refused(putHub('node-arm-hub', made, { ifMatch: made.etag }), 412);
  assert.deepEqual((await hubs.iotHubResource.beginUpdateAndWait(group, 'node-arm-hub', { tags: { other: 'tag' } })).tags, { other: 'tag' });
  assert.ok((await all(hubs.iotHubResource.listBySubscription())).some((one) => one.name === 'node-arm-hub'));
  assert.equal((await hubs.iotHubResource.checkNameAvailability({ name: 'node-arm-hub' })).reason, 'AlreadyExists');

  await hubs.iotHubResource.beginDeleteAndWait(group, 'node-arm-hub');
  await hubs.iotHubResource.beginDeleteAndWait(group, 'node-arm-hub');
  await refused(hubs.iotHubResource.get(group, 'node-arm-hub'), 404, 'ResourceNotFound');
  assert.equal((await hubs.iotHubResource.checkNameAvailability({ name: 'node-arm-hub' })).nameAvailable, true);
});

test('keys, consumer groups and certificates of a hub', async () => {
  await putHub('node-arm-parts');
  const resource = hubs.iotHubResource;
  const at = [group, 'node-arm-parts', 'events'];
  await resource.createEventHubConsumerGroup(...at, 'readers', { properties: { name: 'readers' } });
  assert.deepEqual((await all(resource.listEventHubConsumerGroups(...at))).map((one) => one.name), ['$Default', 'readers']);
  await resource.deleteEventHubConsumerGroup(...at, 'readers');
  await refused(resource.getEventHubConsumerGroup(...at, 'readers'), 404);

  const { certificates } = hubs;
  const made = await certificates.createOrUpdate(group, 'node-arm-parts', 'root', { properties: { certificate: root.toString('base64') } });
  assert.deepEqual([made.properties.subject, made.properties.isVerified], ['root', false]);
  await refused(certificates.createOrUpdate(group, 'node-arm-parts', 'root', { properties: { certificate: root.toString() } }), 412);
  const code = await certificates.generateVerificationCode(group, 'node-arm-parts', 'root', made.etag);
  assert.match(code.properties.verificationCode, /^[0-9A-F]{48}$/);
  assert.notEqual(code.etag, made.etag);
  await refused(certificates.verify(group, 'node-arm-parts', 'root', made.etag, { certificate: root.toString('base64') }), 412);
  await refused(certificates.verify(group, 'node-arm-parts', 'root', code.etag, { certificate: root.toString('base64') }), 400);
  await refused(certificates.delete(group, 'node-arm-parts', 'root', made.etag), 412);
  await certificates.delete(group, 'node-arm-parts', 'root', code.etag);

  assert.deepEqual(await all(resource.listEndpointHealth(group, 'node-arm-parts')), []);
  assert.deepEqual((await all(resource.listQuotaMetrics(group, 'node-arm-parts'))).map((one) => one.name), ['TotalMessages', 'TotalDeviceCount']);
  assert.equal((await resource.getStats(group, 'node-arm-parts')).totalDeviceCount, 0);
  await refused(resource.exportDevices(group, 'node-arm-parts', { exportBlobContainerUri: 'https://a', excludeKeys: true }), 501);
});

test('hubs that are refused', async () => {
  await putHub('node-arm-taken');
  for (const name of ['ab', 'ends-', 'a_b', 'x'.repeat(51)]) await refused(putHub(name), 400);
  for (const sku of [{ name: 'S9', capacity: 1 }, { name: 'S1', capacity: 0 }, { name: 'S1', capacity: 201 }, { name: 'S3', capacity: 11 }, { name: 'F1', capacity: 2 }]) {
    await refused(putHub('node-arm-sku', { sku }), 400);
  }
  await refused(putHub('node-arm-sku', { location: 'moon' }), 400, 'LocationNotAvailableForResourceType');
  await refused(putHub('node-arm-taken', { location: 'northeurope' }), 409, 'InvalidResourceLocation');
  await refused(putHub('node-arm-taken', { sku: { name: 'F1', capacity: 1 } }), 400);
  await manager.resourceGroups.createOrUpdate('node-arm-other', { location: 'westeurope' });
  await refused(hubs.iotHubResource.beginCreateOrUpdateAndWait('node-arm-other', 'node-arm-taken', hub), 409);
  await refused(hubs.iotHubResource.get('node-arm-none', 'h'), 404, 'ResourceGroupNotFound');
  await refused(hubs.iotHubResource.getKeysForKeyName(group, 'node-arm-taken', 'nobody'), 404);
  await putHub('node-arm-free', { sku: { name: 'F1', capacity: 1 } });
  await refused(putHub('node-arm-free-2', { sku: { name: 'F1', capacity: 1 } }), 400);
});

test('lifecycle of a provisioning service', async () => {
  await putHub('node-arm-linked');
  const { primaryKey } = await hubs.iotHubResource.getKeysForKeyName(group, 'node-arm-linked', 'iothubowner');
  const link = { location: 'westeurope', connectionString: `HostName=node-arm-linked.azure-devices.net;SharedAccessKeyName=iothubowner;SharedAccessKey=${primaryKey}` };
  const made = await putService('node-arm-dps', { properties: { iotHubs: [link] } });
  assert.match(made.properties.idScope, /^0ne[0-9A-F]{8}$/);
  assert.equal(made.properties.allocationPolicy, 'Hashed');
  assert.match(made.properties.iotHubs[0].connectionString, /;SharedAccessKey=\*\*\*\*$/);
  const again = await putService('node-arm-dps', { ...made, properties: { ...made.properties, iotHubs: [{ ...made.properties.iotHubs[0], allocationWeight: 5 }] } });
  assert.equal(again.properties.iotHubs[0].allocationWeight, 5);
  await refused(putService('node-arm-dps', { ...again, etag: made.etag }), 412);

  const [owner] = await all(services.iotDpsResource.listKeys('node-arm-dps', group));
  assert.deepEqual([owner.keyName, owner.rights], ['provisioningserviceowner', 'ServiceConfig, DeviceConnect, EnrollmentWrite']);
  await refused(services.iotDpsResource.listKeysForKeyName('node-arm-dps', 'nobody', group), 404);
  const certificate = await services.dpsCertificate.createOrUpdate(group, 'node-arm-dps', 'root', { properties: { certificate: root, isVerified: true } });
  assert.equal(certificate.properties.isVerified, true);
  await services.dpsCertificate.delete(group, certificate.etag, 'node-arm-dps', 'root');
  await refused(services.dpsCertificate.get('root', group, 'node-arm-dps'), 404);
  assert.deepEqual((await services.iotDpsResource.beginUpdateAndWait(group, 'node-arm-dps', { tags: { a: 'b' } })).tags, { a: 'b' });
  assert.deepEqual(await services.iotDpsResource.listPrivateEndpointConnections(group, 'node-arm-dps'), []);
  assert.equal((await services.iotDpsResource.checkProvisioningServiceNameAvailability({ name: 'node-arm-dps' })).reason, 'AlreadyExists');

  for (const properties of [
    { iotHubs: [link, link] }, { iotHubs: [{ ...link, allocationWeight: 1001 }] }, { iotHubs: [{ ...link, connectionString: 'HostName=a' }] }, { allocationPolicy: 'Custom' },
  ]) await refused(putService('node-arm-dps-2', { properties }), 400);
  await refused(putService('node-arm-dps-2', { sku: { name: 'S2', capacity: 1 } }), 400);
  await services.iotDpsResource.beginDeleteAndWait('node-arm-dps', group);
  await refused(services.iotDpsResource.get('node-arm-dps', group), 404, 'ResourceNotFound');
});

test('resource groups and their resources', async () => {
  await manager.resourceGroups.createOrUpdate('node-arm-gone', { location: 'westeurope' });
  await hubs.iotHubResource.beginCreateOrUpdateAndWait('node-arm-gone', 'node-arm-inside', hub);
  assert.deepEqual((await all(manager.resources.listByResourceGroup('node-arm-gone'))).map((one) => one.name), ['node-arm-inside']);
  await refused(manager.resourceGroups.createOrUpdate('node-arm-gone', { location: 'northeurope' }), 409, 'InvalidResourceGroupLocation');
  assert.equal((await manager.providers.get('Microsoft.Devices')).registrationState, 'Registered');
  await manager.resourceGroups.beginDeleteAndWait('node-arm-gone');
  assert.equal((await manager.resourceGroups.checkExistence('node-arm-gone')).body, false);
  await refused(hubs.iotHubResource.get('node-arm-gone', 'node-arm-inside'), 404, 'ResourceGroupNotFound');
});
