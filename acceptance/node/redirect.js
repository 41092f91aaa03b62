'use strict';
// Redirects connections to Azure's host names to the emulator, for SDKs with fixed ports. Only the dialled address changes; the names in
// TLS, in requests and in signatures stay Azure's. Load it before the SDKs.

const tls = require('node:tls');

const ports = { 443: process.env.EVENKEEL_DATA_PORT, 8883: process.env.EVENKEEL_MQTT_PORT };
const azure = /\.azure-devices(-provisioning)?\.net$/;
const dial = tls.connect;

tls.connect = function connect(options, ...rest) {
  if (typeof options !== 'object' || !azure.test(options.host ?? '')) return dial.call(this, options, ...rest);
  const port = ports[options.port];
  if (!port) throw new Error(`nothing of the emulator stands for ${options.host}:${options.port}`);
  return dial.call(this, { ...options, host: '127.0.0.1', port, servername: options.servername || options.host, path: undefined }, ...rest);
};
