'use strict';
// Shared by the tests of the provisioning service: its addresses and the attestation of devices.

require('./redirect');
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { ProvisioningDeviceClient } = require('azure-iot-provisioning-device');
const { Http } = require('azure-iot-provisioning-device-http');
const { Mqtt, MqttWs } = require('azure-iot-provisioning-device-mqtt');
const { ProvisioningServiceClient } = require('azure-iot-provisioning-service');
const { SymmetricKeySecurityClient } = require('azure-iot-security-symmetric-key');
const { X509Security } = require('azure-iot-security-x509');

// setting returns a variable of the environment that the Go test sets.
function setting(name) {
  const value = process.env[name];
  assert.ok(value, `${name} is not set: run this through the Go test (make node)`);
  return value;
}

const host = setting('EVENKEEL_DPS_HOST');
const policies = JSON.parse(setting('EVENKEEL_DPS_POLICIES'));
const scope = setting('EVENKEEL_ID_SCOPE');
const hubs = setting('EVENKEEL_HUBS').split(',');
const deviceHost = 'global.azure-devices-provisioning.net';

// as returns a service client with the rights of a policy.
function as(policy, key = policies[policy], at = host) {
  return ProvisioningServiceClient.fromConnectionString(`HostName=${at};SharedAccessKeyName=${policy};SharedAccessKey=${key}`);
}

const newKey = () => crypto.randomBytes(64).toString('base64');

// derived returns the key of a device of an enrollment group.
const derived = (key, id) => crypto.createHmac('sha256', Buffer.from(key, 'base64')).update(id).digest('base64');

// keyed returns an attestation by symmetric keys, which it creates unless they are given.
const keyed = (primaryKey = newKey(), secondaryKey = newKey()) => ({ type: 'symmetricKey', symmetricKey: { primaryKey, secondaryKey } });

const pem = (name) => fs.readFileSync(path.join(setting('EVENKEEL_CERTIFICATES'), name), 'utf8');

// holding returns the certificate chain and key that a device presents.
const holding = (name, id = name) => new X509Security(id, { cert: pem(`${name}.pem`), key: pem(`${name}.key`) });

// registering returns a device's client that has not registered yet.
function registering(Transport, security, { at = deviceHost, idScope = scope, payload } = {}) {
  const client = ProvisioningDeviceClient.create(at, idScope, new Transport(), security);
  if (payload) client.setProvisioningPayload(payload);
  return client;
}

const register = (Transport, security, options) => registering(Transport, security, options).register();

const withKey = (id, key) => new SymmetricKeySecurityClient(id, key);

// refusal reads the body of an error response that the SDK passes on.
const refusal = (err) => JSON.parse(err.responseBody);

// arm calls Azure Resource Manager.
async function arm(method, resource, version, body) {
  const answer = await fetch(`${setting('EVENKEEL_ARM')}${resource}?api-version=${version}`, {
    method, body: body && JSON.stringify(body), headers: { Authorization: `Bearer ${setting('EVENKEEL_ARM_TOKEN')}`, 'Content-Type': 'application/json' },
  });
  const text = await answer.text();
  assert.ok(answer.ok, `${method} ${resource}: ${answer.status} ${text}`);
  return text ? JSON.parse(text) : undefined;
}

// becomes polls until a condition holds.
async function becomes(what, condition, patience = 20_000) {
  const deadline = Date.now() + patience;
  while (!(await condition())) assert.ok(Date.now() < deadline, `${what}: not after ${patience} ms`);
}

module.exports = {
  arm, as, becomes, derived, deviceHost, holding, host, hubs, keyed, newKey, pem, policies, refusal, register, registering, scope, setting, withKey,
  transports: { Http, Mqtt, MqttWs },
};
