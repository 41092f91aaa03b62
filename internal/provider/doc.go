// Package provider is the Pulumi provider azure-dps: enrollments of the Azure IoT Hub Device Provisioning Service, hubs linked to it, and
// keys for shared access policies, as resources.
//
// It does not speak HTTP (internal/dpsapi and internal/hublink do), does not log in (internal/login does), does not know the rules of
// ids, keys and certificates (internal/enrollment does), and knows nothing of the emulator.
package provider
