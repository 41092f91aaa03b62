// Package provider is the Pulumi provider azure-dps: enrollments of the Azure IoT Hub Device Provisioning Service, and keys for
// shared access policies, as resources.
//
// It does not speak HTTP (internal/dpsapi does), does not know the rules of ids, keys and certificates (internal/enrollment
// does), and knows nothing of the emulator.
package provider
