package errorcodes

// serviceCodes are the codes that the provisioning service returns to devices and to clients that manage enrollments.
var serviceCodes = []Entry{
	{Code: 400207, Source: Service,
		Cause: "The enrollment chooses hubs by a webhook (policy custom), and the webhook did not return a usable " +
			"hub; the message contains its status.",
		Remedy: "Call the webhook with the request that the service sends, and read its log. It must return 200 with " +
			"the host name of a hub linked to the service."},
	{Code: 400208, Source: Service,
		Cause: "The service found no hub for the device: none is linked, none of the linked ones is in the " +
			"enrollment's list, or all of them are drained or have weight 0.",
		Remedy: "List the hubs with keel show. End the draining of a hub, give it a weight, or add its host name to " +
			"the enrollment's hubs."},
	{Code: 400209, Source: Service,
		Cause: "The chosen hub rejected the service: the key of the link is no longer one of the hub's keys, or its " +
			"policy lacks rights.",
		Remedy: "Link the hub again with a current key of a policy that has RegistryWrite and ServiceConnect: keel " +
			"up does that."},
	{Code: 401000, Source: Service,
		Cause: "The device's shared access signature is rejected: a wrong key, a signature for another resource, an " +
			"expired token, or an unknown enrollment.",
		Remedy: "Compare the key with keel devices key DEVICE. The signature covers " +
			"{idScope}/registrations/{registrationId}, and the device's clock must be correct."},
	{Code: 404201, Source: Service,
		Cause:  "The enrollment does not exist, or the device has never registered.",
		Remedy: "List the devices with keel devices status. Ids are compared regardless of case."},
	{Code: 404202, Source: Service,
		Cause: "An object that the request names does not exist, most often the provisioning service itself. Azure " +
			"does not document which object it means.",
		Remedy: "Compare the ID scope and the host name with keel show."},
	{Code: 404203, Source: Service,
		Cause: "The device polls a registration that was never started, belongs to another device, or was started " +
			"too long ago.",
		Remedy: "Register the device again from the start."},
	{Code: 409201, Source: Service,
		Cause: "The enrollment already exists, or an update does not say which version it replaces.",
		Remedy: "Import it into the stack (pulumi import shows how), remove it, or choose another id; an update must " +
			"send the entry's etag."},
	{Code: 409203, Source: Service,
		Cause:  "Two callers registered or changed the same id at the same time.",
		Remedy: "Try again after a moment. If it lasts, look for two devices with the same registration id."},
	{Code: 400004, Source: Service, EmulatorOnly: true,
		Cause: "The request cannot be read, or a field is invalid; the message names it. If it names csr, the " +
			"certificate signing request is invalid, or the device's enrollment names no certificate policy.",
		Remedy: "Correct the field that the message names. A request is base64 of DER, with the registration id as " +
			"its common name and an EC key; the policy is namespaceName, certificateAuthorityName and " +
			"certificatePolicyName of the enrollment."},
	{Code: 400040, Name: "CredentialOperationFailed", Source: Service, EmulatorOnly: true,
		Cause: "The device was not registered, because the certificate that it asked for could not be issued; the " +
			"message has the reason.",
		Remedy: "If the issuing CA of the emulator has expired, stop the emulator, remove issuing-ca.pem and " +
			"issuing-ca-key.pem from its data folder, and register the devices again."},
	{Code: 405000, Source: Service, EmulatorOnly: true,
		Cause:  "The path does not accept the method; often the id at its end is missing.",
		Remedy: "Add the registration id to the path, or use a client library of the service."},
	{Code: 412001, Source: Service, EmulatorOnly: true,
		Cause:  "The entry was changed since it was read: its etag is no longer the one that was sent.",
		Remedy: "Read the entry again and repeat the change; for a stack: keel exec -- pulumi refresh, then keel up."},
	{Code: 413001, Source: Service, EmulatorOnly: true,
		Cause:  "The body is larger than the service accepts.",
		Remedy: "Send a smaller payload with the registration, and large data in messages or files."},
	{Code: 415000, Source: Service, EmulatorOnly: true,
		Cause:  "The content type of the request's body is not application/json.",
		Remedy: "Send the header Content-Type: application/json; charset=utf-8."},
}

// hubCodes are the codes of the hub's registry, twins and messages; failed registrations contain 401001 and 401002 too.
var hubCodes = []Entry{
	{Code: 400001, Name: "InvalidProtocolVersion", Source: Hub, EmulatorOnly: true,
		Cause:  "The api-version is not a date.",
		Remedy: "Send one that the client library knows, such as 2021-04-12."},
	{Code: 400004, Name: "ArgumentInvalid", Source: Hub,
		Cause: "A part of the request is invalid: an id with a forbidden character, a key that is not base64, or " +
			"JSON of the wrong form.",
		Remedy: "Correct what the message names. Ids are up to 128 letters, digits and -:.+%_#*?!(),=@;$'."},
	{Code: 400027, Name: "ConnectionForcefullyClosedOnNewConnection", Source: Hub,
		Cause: "A second connection with the same device id has replaced the first one: a hub keeps one for each " +
			"device.",
		Remedy: "Find the other client that connects as this device. A client that reconnects before its old " +
			"connection has ended gets this error once and may ignore it."},
	{Code: 400028, Name: "InvalidDeviceScope", Source: Hub, EmulatorOnly: true,
		Cause:  "The scope of a device is not that of another edge device of the hub, or the device has more than one.",
		Remedy: "Use the deviceScope of the edge device that should be its parent."},
	{Code: 401001, Name: "IotHubNotFound", Source: Both,
		Cause: "The hub does not exist: it was deleted or its name is wrong. In a failed registration, the service " +
			"still has a link to a deleted hub.",
		Remedy: "Compare the host name with keel show. Unlink a deleted hub: keel up writes the links that the " +
			"program declares."},
	{Code: 401002, Name: "IotHubUnauthorizedAccess", Source: Both,
		Cause: "The caller is rejected: a wrong key or certificate, an expired token, a disabled device or " +
			"enrollment, a policy without the right, or a service or hub with disableLocalAuth, which accepts no key " +
			"of a policy. In a failed registration, the linked hub rejects the service's key, or the service's managed " +
			"identity, which it does not have any more or which has no role at the hub.",
		Remedy: "Check in this order: the clock; the key (keel devices key DEVICE) or the certificate's chain and " +
			"dates; that device and enrollment are enabled; for a failed registration, the key of the link: keel up " +
			"renews it. If the key of a policy was regenerated: keel exec -- pulumi config set --path " +
			"rotation.enrollments 1 (or rotation.link; one more than its current value), then keel up. If az iot dps " +
			"show --name NAME --query properties.disableLocalAuth prints true (for a hub: az iot hub show), remove " +
			"policyName and key from the provider, so that it logs in with Microsoft Entra ID, or set " +
			"disableLocalAuth to false. The key of a linked hub with disableLocalAuth cannot work either: link it by " +
			"a managed identity. Such a link needs the role IoT Hub Data Contributor at the hub: az role assignment " +
			"create --role 'IoT Hub Data Contributor' --assignee-object-id PRINCIPAL --assignee-principal-type " +
			"ServicePrincipal --scope HUB (docs/how-to/link-without-keys.md)."},
	{Code: 401003, Name: "IotHubUnauthorized", Source: Hub,
		Cause: "The token is not valid for the request: it is malformed, has expired, or is signed for another " +
			"resource; or its principal has no role at the hub (due to no assigned permissions), which failed " +
			"registrations over a link by a managed identity report too.",
		Remedy: "Create a new token for exactly this host and path, and check the clock. With a client library, pass " +
			"the connection string and let it sign."},
	{Code: 403002, Name: "QuotaExceeded", Source: Hub,
		Cause:  "The hub has used up its messages for the day (8,000 on F1, 400,000 for each S1 unit).",
		Remedy: "Wait until midnight UTC, or raise capacity or sku of the hub in hubSettings and run keel up."},
	{Code: 403004, Name: "DeviceMaximumQueueDepthExceeded", Source: Hub,
		Cause:  "50 messages to the device are waiting, which is the maximum.",
		Remedy: "Let the device receive and complete them, use a shorter time to live, or purge its queue."},
	{Code: 403010, Name: "OperationNotAvailableInCurrentTier", Source: Hub,
		Cause: "Hubs of the basic tier (B1 to B3) have no twins, direct methods, cloud-to-device messages or edge " +
			"devices.",
		Remedy: "Use a hub of the standard or the free tier. A hub of tier B can be changed to S."},
	{Code: 404001, Name: "DeviceNotFound", Source: Hub,
		Cause: "The hub has no device of that id. Unlike the provisioning service, a hub distinguishes case. The " +
			"device may be at another hub.",
		Remedy: "Find the assigned hub with keel devices status DEVICE, or register the device again."},
	{Code: 404010, Name: "ModuleNotFound", Source: Hub,
		Cause:  "The device exists, but has no module of that id.",
		Remedy: "Create the module first, or correct its id."},
	{Code: 404002, Name: "JobNotFound", Source: Hub,
		Cause:  "No job has that id; the emulator has no jobs.",
		Remedy: "List the jobs of the hub. With the emulator, do what the job would do device by device."},
	{Code: 404011, Name: "ConfigurationNotFound", Source: Hub, EmulatorOnly: true,
		Cause:  "No automatic device configuration has that id; the emulator has none.",
		Remedy: "List the configurations of the hub. With the emulator, write the desired properties of the twins."},
	{Code: 404103, Name: "DeviceNotOnline", Source: Hub,
		Cause: "A direct method was sent to a device that is not connected, or is not subscribed to methods.",
		Remedy: "Connect the device and let it subscribe to methods, or give it time to connect with " +
			"connectTimeoutInSeconds."},
	{Code: 404104, Name: "DeviceConnectionClosedRemotely", Source: Hub,
		Cause: "The connection ended without a disconnect: the device sent nothing for one and a half times its " +
			"keep-alive, or the network failed.",
		Remedy: "Let the client reconnect with increasing delays. If it recurs, use a shorter keep-alive (at most " +
			"1,177 s)."},
	{Code: 409001, Name: "DeviceAlreadyExists", Source: Hub,
		Cause:  "A device of that id is registered at this hub already.",
		Remedy: "Update it with its etag (or * for any version) instead of creating it, or remove it first."},
	{Code: 409301, Name: "ModuleAlreadyExists", Source: Hub,
		Cause:  "The device has a module of that id already.",
		Remedy: "Update the module with its etag instead of creating it."},
	{Code: 412001, Name: "PreconditionFailed", Source: Hub,
		Cause:  "The device or twin was changed since it was read: its etag is no longer the one that was sent.",
		Remedy: "Read it again and repeat the change, or send * to replace any version."},
	{Code: 412002, Name: "DeviceMessageLockLost", Source: Hub,
		Cause: "The device took too long to settle a message (a minute), or settled it twice.",
		Remedy: "Complete, reject or abandon each message within a minute of receiving it; it is delivered again " +
			"otherwise."},
	{Code: 413000, Name: "GenericRequestEntityTooLarge", Source: Hub, EmulatorOnly: true,
		Cause:  "The body of the request could not be read, or is larger than the call accepts.",
		Remedy: "Send less in one request."},
	{Code: 502000, Name: "BadDeviceResponse", Source: Hub, EmulatorOnly: true,
		Cause:  "A device answered a direct method with something that is not JSON.",
		Remedy: "Let the device answer with JSON, or with nothing."},
	{Code: 504101, Name: "GatewayTimeout", Source: Hub,
		Cause: "A device received a direct method and did not respond in time.",
		Remedy: "Give it more time with responseTimeoutInSeconds (up to 3,600), or let it respond before it does the " +
			"work."},
	{Code: 413001, Name: "MessageTooLarge", Source: Hub,
		Cause:  "The message is larger than the hub accepts: 256 KB from a device, 64 KB to a device.",
		Remedy: "Split or compress it, or upload a file and send its name."},
	{Code: 413002, Name: "TooManyDevices", Source: Hub,
		Cause: "One bulk request contains more than 100 devices, or the hub has its maximum of 1,000,000 devices.",
		Remedy: "Send at most 100 at a time, or distribute the devices over more hubs: keel exec -- pulumi config " +
			"set hubs N."},
	{Code: 429001, Name: "Throttling", Source: Both,
		Cause: "More requests than the limits allow. A hub's limits depend on its sku and units; those of the " +
			"provisioning service are per minute.",
		Remedy: "Wait for the time in Retry-After and try again with increasing delays. If it persists, raise the " +
			"units."},
	{Code: 500001, Name: "ServerError", Source: Both,
		Cause: "The service failed internally. With the emulator, this is a bug of the emulator.",
		Remedy: "Try again after a moment. With the emulator, see keel emulator logs; with Azure, give the tracking " +
			"id to its support."},
	{Code: 503001, Name: "ServiceUnavailable", Source: Hub,
		Cause:  "The hub is temporarily unavailable, for example during a failover or a change.",
		Remedy: "Try again with increasing delays."},
	{Code: 400000, Name: "DefaultStorageEndpointNotConfigured", Source: Hub, EmulatorOnly: true,
		Cause: "The hub has no storage account for file uploads of devices; the emulator supports none.",
		Remedy: "On Azure, configure a storage endpoint of the hub. With the emulator, send the content of the file " +
			"as messages."},
	{Code: 501000, Name: "NotImplemented", Source: Hub, EmulatorOnly: true,
		Cause:  "The emulator does not implement this call of a hub.",
		Remedy: "See docs/reference/fidelity.md for the calls that the emulator implements."},
	{Code: 404000, Name: "GenericNotFound", Source: Hub, EmulatorOnly: true,
		Cause:  "The emulator knows no such call of a hub.",
		Remedy: "See docs/reference/fidelity.md for the calls that the emulator implements."},
}

// managementCodes are the codes of the management API, where hubs and provisioning services are created and linked.
var managementCodes = []Entry{
	{Code: 400016, Source: Management,
		Cause: "A hub's tier does not have that number of partitions: F1 has 2. The Azure CLI asks for 4 unless told " +
			"otherwise.",
		Remedy: "Set the number that the message names: az iot hub create --partition-count 2, or " +
			"event_hub_partition_count in Terraform."},
	{Code: 400019, Source: Management,
		Cause: "The subscription has its maximum number of hubs or provisioning services: by default 50 hubs, 1 " +
			"free hub, 10 services.",
		Remedy: "Remove expired environments (keel reap), share a provisioning service (provisioningService in the " +
			"configuration), or ask Azure's support for more."},
	{Code: 400024, Source: Management,
		Cause: "The request sets a member that its api-version does not have, such as disableLocalAuth with " +
			"2022-12-12; the message names it.",
		Remedy: "Use a client with the api-version that the message names, or leave the member out. A PUT that " +
			"leaves it out may reset it."},
	{Code: 400131, Source: Management,
		Cause: "A route, the fallback route or an enrichment of a hub names an endpoint that does not exist after " +
			"the change.",
		Remedy: "Declare the endpoint too, or first remove what names it."},
	{Code: 400303, Source: Management,
		Cause:  "The list of linked hubs contains the same hub twice.",
		Remedy: "Remove one of the links."},
	{Code: 400309, Source: Management,
		Cause: "The description of the resource is invalid, such as data residency in a region that does not have " +
			"it; the message says why.",
		Remedy: "Correct what the message names and send it again."},
	{Code: 400004, Source: Management, EmulatorOnly: true,
		Cause:  "The description of the resource is invalid. Azure does not document the number for each rule.",
		Remedy: "Correct what the message names and send it again."},
	{Code: 404000, Source: Management, EmulatorOnly: true,
		Cause:  "No shared access policy has that name.",
		Remedy: "List the policies of the resource; the program declares link, operator, enrollments and the owners."},
	{Code: 404002, Source: Management,
		Cause:  "A hub to be linked does not exist.",
		Remedy: "Create the hub first, or correct the host name of its connection string."},
	{Code: 404003, Source: Management, EmulatorOnly: true,
		Cause:  "The resource has no such certificate or consumer group.",
		Remedy: "List the existing ones. Names are compared regardless of case."},
	{Code: 409001, Source: Management, EmulatorOnly: true,
		Cause:  "The name is taken: names of hubs and of provisioning services are unique in all of Azure.",
		Remedy: "Choose another name. The program adds random digits to the names that it generates."},
	{Code: 409002, Source: Management,
		Cause:  "The resource is being created, changed or deleted, and accepts no other change until that is done.",
		Remedy: "Wait until it is Active and try again. keel up recovers from an interrupted run."},
	{Code: 412001, Source: Management,
		Cause: "The resource or certificate was changed since it was read: the etag is no longer the one that was " +
			"sent.",
		Remedy: "Read it again and repeat the change; for a stack: keel exec -- pulumi refresh, then keel up."},
}

// resourceManagerCodes are the codes of Azure Resource Manager itself, which are words; the number is their HTTP status
// ("Troubleshoot common Azure deployment errors").
var resourceManagerCodes = []Entry{
	{Code: 401, Name: "InvalidAuthenticationToken", Source: Management,
		Cause: "The token is for another tenant or audience, or has expired.",
		Remedy: "Log in again (az login), with the tenant of the subscription; check the clock: keel doctor --target " +
			"azure."},
	{Code: 403, Name: "AuthorizationFailed", Source: Management,
		Cause:  "The account is known, but has no role that allows this on the subscription or the resource group.",
		Remedy: "Ask for the role Contributor there. A new role assignment takes effect after some minutes."},
	{Code: 404, Name: "ResourceGroupNotFound", Source: Management,
		Cause: "The subscription has no such resource group: it was deleted, or it is in another subscription.",
		Remedy: "Compare the subscription with keel doctor --target azure; for a stack whose group was deleted: keel " +
			"exec -- pulumi refresh."},
	{Code: 404, Name: "ResourceNotFound", Source: Management,
		Cause:  "The resource group exists, but has no such resource.",
		Remedy: "For a stack: keel exec -- pulumi refresh, then keel up creates it again."},
	{Code: 400, Name: "NoRegisteredProviderFound", Source: Management,
		Cause: "The cloud, or the resource's region, does not serve the api-version of the request; the message " +
			"lists those that it serves. The other answer to this is InvalidResourceType.",
		Remedy: "Use a client that calls a listed version: az provider show --namespace Microsoft.Devices lists " +
			"them too. The emulator serves those in docs/reference/fidelity.md."},
	{Code: 404, Name: "InvalidResourceType", Source: Management,
		Cause: "The cloud does not serve the api-version of the request for this type of resource, or does not have " +
			"the type.",
		Remedy: "Use a client that calls another version: az provider show --namespace Microsoft.Devices lists them. " +
			"The emulator serves those in docs/reference/fidelity.md."},
	{Code: 404, Name: "SubscriptionNotFound", Source: Management,
		Cause: "The subscription does not exist, or the account has no access to it.",
		Remedy: "List the account's subscriptions with az account list, and choose one: pulumi config set " +
			"azure-native:subscriptionId ID."},
	{Code: 400, Name: "FailedIdentityOperation", Source: Management,
		Cause: "The request names a user-assigned managed identity that does not exist.",
		Remedy: "Compare the resource id with az identity list --query [].id, or create the identity with az " +
			"identity create."},
	{Code: 400, Name: "RoleAssignmentUpdateNotPermitted", Source: Management,
		Cause:  "A role assignment of that name exists and gives another role or another principal.",
		Remedy: "Give the new assignment another name (a GUID), or delete the old one first."},
	{Code: 400, Name: "UnmatchedPrincipalType", Source: Management,
		Cause: "The role assignment gives a wrong type of the principal: managed identities are ServicePrincipal, " +
			"and azure-native says User where a program leaves the type out.",
		Remedy: "Set principalType to ServicePrincipal."},
	{Code: 409, Name: "RoleAssignmentExists", Source: Management,
		Cause: "The principal has the role at the scope already, by an assignment with another name.",
		Remedy: "Leave it as it is, import it into the stack, or delete the other one: az role assignment list " +
			"--scope SCOPE."},
	{Code: 409, Name: "MissingSubscriptionRegistration", Source: Management,
		Cause: "The subscription is not registered for the resource provider Microsoft.Devices, so it cannot have " +
			"hubs or provisioning services.",
		Remedy: "Run az provider register --namespace Microsoft.Devices --wait, with a role on the subscription."},
	{Code: 409, Name: "ReadOnlyDisabledSubscription", Source: Management,
		Cause:  "The subscription is disabled: nothing in it can be changed.",
		Remedy: "Its owner can enable it in the portal, mostly by settling a bill."},
	{Code: 429, Name: "TooManyRequests", Source: Management,
		Cause:  "The account sent more requests than the management API allows in an hour.",
		Remedy: "Wait for the time in Retry-After; Pulumi does so automatically."},
}

// httpStatuses are HTTP statuses that come without a code.
var httpStatuses = []Entry{
	{Code: 400, Source: Both, Cause: "The request cannot be read, or is invalid.",
		Remedy: "Correct what the message names."},
	{Code: 401, Source: Both, Cause: "The token or certificate is wrong or has expired.",
		Remedy: "Check the clock, the key (keel devices key DEVICE) and the resource that the token is for. See " +
			"also: keel doctor 401002."},
	{Code: 403, Source: Both, Cause: "The caller is known, but lacks the right, or a quota is used up.",
		Remedy: "Use a policy with the right; keel env --admin has one."},
	{Code: 404, Source: Both, Cause: "The service, hub, device or enrollment does not exist.",
		Remedy: "Compare names and the ID scope with keel show."},
	{Code: 405, Source: Both, Cause: "The path does not accept the method; often the id at its end is missing.",
		Remedy: "Add the id to the path."},
	{Code: 409, Source: Both, Cause: "It already exists, or another client is changing it.",
		Remedy: "Try again after a moment; update instead of creating."},
	{Code: 412, Source: Both, Cause: "It was changed since it was read.",
		Remedy: "Read it again and repeat the change."},
	{Code: 415, Source: Both, Cause: "The content type is wrong.",
		Remedy: "Send Content-Type: application/json; charset=utf-8."},
	{Code: 429, Source: Both, Cause: "More requests than the limits allow.",
		Remedy: "Wait for the time in Retry-After. See also: keel doctor 429001."},
	{Code: 500, Source: Both, Cause: "The service failed internally.",
		Remedy: "Try again after a moment. See also: keel doctor 500001."},
	{Code: 503, Source: Both, Cause: "The service is temporarily unavailable.",
		Remedy: "Try again with increasing delays."},
}
