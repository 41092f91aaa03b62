'use strict';
// Azure's TPM client and its registration over HTTPS, with the TPM simulator swtpm instead of a chip: its endorsement key is enrolled, it
// activates the challenge, signs with it, and stores the key of its hub.

const assert = require('node:assert/strict');
const https = require('node:https');
const net = require('node:net');
const test = require('node:test');
const { as, hubs, register, setting, transports } = require('./dps');
const { Tpm } = require('tss.js');
const { TpmSecurityClient } = require('azure-iot-security-tpm');

// swtpm is a device of tss.js that sends raw commands over TCP, each on a new connection, as swtpm expects. tss.js has a device for
// Microsoft's simulator only.
const swtpm = {
  connect(done) {
    setImmediate(done, null);
    return null;
  },
  dispatchCommand(command, done) {
    const parts = [];
    const socket = net.connect(Number(setting('EVENKEEL_TPM_PORT')), '127.0.0.1', () => socket.write(command));
    socket.on('data', (part) => {
      parts.push(part);
      const got = Buffer.concat(parts);
      if (got.length < 10 || got.length < got.readUInt32BE(2)) return;
      socket.removeAllListeners('data');
      socket.on('close', () => done(null, got)).end();
    });
  },
  close() {},
};

test('a TPM registers, and again', { timeout: 60_000 }, async () => {
  const tpm = new Tpm(false);
  tpm.device = swtpm;
  const security = new TpmSecurityClient('tpm-node', tpm);
  const key = (name) => new Promise((resolve, reject) => { security[name]((err, value) => (err ? reject(err) : resolve(value.toString('base64')))); });
  const endorsementKey = await key('getEndorsementKey');
  const owner = as('owner');
  await assert.rejects(register(transports.Http, security), (err) => err.name === 'InvalidOperationError', 'it is not enrolled');
  const enroll = (more) => owner.createOrUpdateIndividualEnrollment({ registrationId: 'tpm-node', attestation: { type: 'tpm', tpm: { endorsementKey } }, ...more });
  await enroll({ allocationPolicy: 'hashed', iotHubs: [hubs[1]] });
  // The client's api-version, 2019-03-31, always has this substatus; the record at the service has the real one.
  for (const recorded of ['initialAssignment', 'reprovisionedToInitialAssignment']) {
    const { registrationState: state } = await register(transports.Http, security);
    assert.deepEqual([state.status, state.assignedHub, state.deviceId, state.substatus], ['assigned', hubs[1], 'tpm-node', 'initialAssignment']);
    assert.equal((await owner.getDeviceRegistrationState('tpm-node')).responseBody.substatus, recorded);
    assert.ok(state.tpm.authenticationKey);
  }
  // The client has stored the key of its hub in the TPM, so the hub accepts what it signs.
  const resource = encodeURIComponent(`${hubs[1]}/devices/tpm-node`);
  const expiry = Math.floor(Date.now() / 1000) + 600;
  const signed = await new Promise((resolve, reject) => {
    security.signWithIdentity(Buffer.from(`${resource}\n${expiry}`), (err, value) => (err ? reject(err) : resolve(value)));
  });
  const token = `SharedAccessSignature sr=${resource}&sig=${encodeURIComponent(signed.toString('base64'))}&se=${expiry}`;
  const status = await new Promise((resolve, reject) => {
    https.request({
      host: hubs[1], port: 443, method: 'POST', path: '/devices/tpm-node/messages/events?api-version=2021-04-12', headers: { Authorization: token },
    }, (answer) => { answer.resume(); resolve(answer.statusCode); }).on('error', reject).end('21.5');
  });
  assert.equal(status, 204);
  await enroll({ provisioningStatus: 'disabled' });
  await assert.rejects(register(transports.Http, security), { message: 'status is disabled' });
});
