// Enrollments and linked hubs of the Azure IoT Hub Device Provisioning Service, and the keys of its policies, as resources.
package azuredps
