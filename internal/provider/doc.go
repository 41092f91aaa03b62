// Package provider is the Pulumi provider azure-dps: enrollments of the Azure IoT Hub Device Provisioning Service, hubs
// linked to it, and keys for shared access policies, as resources.
//
// It configures and serves them; single enrollments are in entry, sets of them in set. It sends no HTTP requests
// (dpsservice and internal/azure/hublink do), does not log in (internal/azure/login does), does not know the rules of
// ids, keys and certificates (internal/azure/enrollment does), and does not know the emulator.
package provider
