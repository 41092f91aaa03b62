'use strict';
// Creates enrollments with Azure's service SDK for Node and prints how many seconds that took. The arguments are the prefix of the ids,
// the number of enrollments, and the way to create them. The Go program beside this file passes the service's address in the environment.

require('../node/redirect');
const crypto = require('node:crypto');
const { ProvisioningServiceClient } = require('azure-iot-provisioning-service');

const [prefix, count, way] = [process.argv[2], Number(process.argv[3]), process.argv[4]];
const service = ProvisioningServiceClient.fromConnectionString(process.env.EVENKEEL_CONNECTION_STRING);
const bulkSize = 10;

const newKey = () => crypto.randomBytes(64).toString('base64');
const entry = (i) => ({
  registrationId: `${prefix}-${i}`, attestation: { type: 'symmetricKey', symmetricKey: { primaryKey: newKey(), secondaryKey: newKey() } },
});

const single = (i) => service.createOrUpdateIndividualEnrollment(entry(i));

// bulk creates ten enrollments from number i. It uses the callback, because the promise of this method never settles.
const bulk = (i) => new Promise((resolve, reject) => {
  const enrollments = Array.from({ length: bulkSize }, (_, k) => entry(i + k));
  service.runBulkEnrollmentOperation({ mode: 'create', enrollments }, (err, result) => {
    if (err || !result.isSuccessful) reject(err ?? new Error(JSON.stringify(result.errors[0])));
    else resolve();
  });
});

const ways = { single: [single, 1, 1], parallel: [single, 1, 10], bulk: [bulk, bulkSize, 1], 'parallel-bulk': [bulk, bulkSize, 10] };

async function create(from, to) {
  const [step, size, parallel] = ways[way];
  let next = from;
  await Promise.all(Array.from({ length: parallel }, async () => {
    while (next < to) {
      const i = next;
      next += size;
      await step(i);
    }
  }));
}

(async () => {
  const warm = 200; // connections, and code that is compiled once it is hot
  await create(count, count + warm);
  const start = process.hrtime.bigint();
  await create(0, count);
  console.log(Number(process.hrtime.bigint() - start) / 1e9);
})();
