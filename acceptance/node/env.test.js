'use strict';
// Azure's own SDKs with only the variables that `keel env --device` and `keel env --admin` print: no address, port or key is hard-coded.
// The Go test beside this file evaluates the output in a shell and runs this file there.

const assert = require('node:assert/strict');
const test = require('node:test');
const { Client, Message } = require('azure-iot-device');
const { Mqtt } = require('azure-iot-device-mqtt');
const { ProvisioningDeviceClient } = require('azure-iot-provisioning-device');
const { Mqtt: ProvisioningMqtt } = require('azure-iot-provisioning-device-mqtt');
const { SymmetricKeySecurityClient } = require('azure-iot-security-symmetric-key');
const { Registry } = require('azure-iothub');

const {
  IOTHUB_DEVICE_DPS_ENDPOINT: endpoint, IOTHUB_DEVICE_DPS_ID_SCOPE: scope, IOTHUB_DEVICE_DPS_DEVICE_ID: id,
  IOTHUB_DEVICE_DPS_DEVICE_KEY: key, IOTHUB_DEVICE_CONNECTION_STRING: known, IOTHUB_CONNECTION_STRING_HUB_1: first,
  IOTHUB_CONNECTION_STRING_HUB_2: second,
} = process.env;

async function greet(connectionString) {
  const client = Client.fromConnectionString(connectionString, Mqtt);
  await client.open();
  try {
    await client.sendEvent(new Message('hello'));
  } finally {
    await client.close();
  }
}

test('a device registers and reaches its hub', { skip: !key }, async () => {
  assert.equal(process.env.IOTHUB_DEVICE_SECURITY_TYPE, 'DPS');
  const client = ProvisioningDeviceClient.create(endpoint, scope, new ProvisioningMqtt(), new SymmetricKeySecurityClient(id, key));
  const { assignedHub, deviceId } = await client.register();
  await greet(`HostName=${assignedHub};DeviceId=${deviceId};SharedAccessKey=${key}`);
});

test('an assigned device connects to its hub directly', { skip: !known }, () => greet(known));

test('an operator finds the device on one of the hubs', { skip: !first }, async () => {
  const found = [];
  for (const connectionString of [first, second]) {
    found.push(...(await Registry.fromConnectionString(connectionString).list()).responseBody);
  }
  assert.deepEqual(found.map((device) => device.deviceId), ['device-1']);
});
