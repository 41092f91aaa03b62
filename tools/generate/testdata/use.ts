// A program in TypeScript that declares one of each resource and asks each function, run against mocks: make sdks.
import * as pulumi from "@pulumi/pulumi";
import * as dps from "./index";

const seen = new Set<string>();

pulumi.runtime.setMocks({
    newResource: (args) => {
        seen.add(args.type);
        return { id: args.name, state: { ...args.inputs, primaryKey: "a2V5", activeKey: "a2V5" } };
    },
    call: (args) => {
        seen.add(args.token);
        return { deviceKey: "a2V5", exists: false, registrations: [], registrationId: "press-7", enrollmentGroupId: "presses" };
    },
});

async function main() {
    const provider = new dps.Provider("provider", { host: "factory-dps.azure-devices-provisioning.net" });
    const opts = { provider };
    const key = new dps.SharedAccessKey("link", { rotation: 1 }, opts);
    const press = new dps.IndividualEnrollment("press-7", {
        registrationId: "press-7",
        allocationPolicy: dps.AllocationPolicy.Static,
        iotHubs: ["hub-1.azure-devices.net"],
        initialTwin: { tags: { hall: "B" }, desiredProperties: { interval: 30 } },
    }, opts);
    const group = new dps.EnrollmentGroup("presses", {
        enrollmentGroupId: "presses",
        attestation: { x509: { caReferences: { primary: "factory-ca" } } },
    }, opts);
    const set = new dps.EnrollmentSet("sensors", { items: [{ registrationId: "sensor-1", tags: { hall: "A" } }] }, opts);
    const link = new dps.LinkedHub("hub-1", {
        provisioningServiceId: "/subscriptions/s/resourceGroups/g/providers/Microsoft.Devices/provisioningServices/factory-dps",
        hubHostName: "hub-1.azure-devices.net", location: "westeurope", policyName: "link", key: key.activeKey,
    }, opts);
    await dps.deriveDeviceKey({ groupKey: "a2V5", registrationId: "press-7" }, opts);
    await dps.getIndividualEnrollment({ registrationId: "press-7" }, opts);
    await dps.getEnrollmentGroup({ enrollmentGroupId: "presses" }, opts);
    await dps.getRegistration({ registrationId: "press-7" }, opts);
    await dps.listRegistrations({ enrollmentGroupId: "presses" }, opts);
    await new Promise((resolve) => pulumi.all([press.urn, group.urn, set.urn, link.urn]).apply(resolve));
    for (const token of process.argv.slice(2)) {
        if (!seen.has(token)) {
            throw new Error(`the SDK registers no ${token}; seen: ${[...seen].join(", ")}`);
        }
    }
    console.log(`${seen.size} tokens`);
}

main().catch((err) => {
    console.error(err);
    process.exit(1);
});
