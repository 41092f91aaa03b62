package provider

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"

	"evenkeel/internal/azure/arm"
	"evenkeel/internal/azure/domain"
	"evenkeel/internal/azure/enrollment"
	"evenkeel/internal/azure/hublink"
	"evenkeel/internal/provider/entry"
)

var (
	_ infer.CustomResource[LinkedHubArgs, LinkedHubState]       = LinkedHub{}
	_ infer.CustomCheck[LinkedHubArgs]                          = LinkedHub{}
	_ infer.CustomDiff[LinkedHubArgs, LinkedHubState]           = LinkedHub{}
	_ infer.CustomRead[LinkedHubArgs, LinkedHubState]           = LinkedHub{}
	_ infer.CustomUpdate[LinkedHubArgs, LinkedHubState]         = LinkedHub{}
	_ infer.CustomDelete[LinkedHubState]                        = LinkedHub{}
	_ infer.ExplicitDependencies[LinkedHubArgs, LinkedHubState] = LinkedHub{}
)

// LinkedHub links one hub to a provisioning service that others own or share.
type LinkedHub struct{}

// LinkedHubArgs are the inputs of a LinkedHub.
type LinkedHubArgs struct {
	ProvisioningServiceID string `pulumi:"provisioningServiceId" provider:"replaceOnChanges"`
	HubHostName           string `pulumi:"hubHostName" provider:"replaceOnChanges"`
	// AuthenticationType nil means KeyBased.
	AuthenticationType    *LinkAuthentication `pulumi:"authenticationType,optional"`
	IdentityID            *string             `pulumi:"identityId,optional"`
	PolicyName            *string             `pulumi:"policyName,optional"`
	Key                   *string             `pulumi:"key,optional" provider:"secret"`
	Location              string              `pulumi:"location"`
	AllocationWeight      *int                `pulumi:"allocationWeight,optional"`
	ApplyAllocationPolicy *bool               `pulumi:"applyAllocationPolicy,optional"`
}

// LinkedHubState is the state of a LinkedHub. The service returns no key, so the state contains the one that was sent
// last.
type LinkedHubState struct {
	LinkedHubArgs
	entry.Life
}

// Annotate describes the resource in the schema.
func (h *LinkedHub) Annotate(an infer.Annotator) {
	an.SetToken("index", "LinkedHub")
	an.Describe(h, "Links one hub to an existing provisioning service, by a key (the classic link) or by a managed "+
		"identity of the service, so that many stacks can share one service. It changes its own entry "+
		"in the service's list of hubs, and nothing else. A hub with the connection profile MQTT 5 cannot be linked "+
		"this way, only through a Device Registry namespace. Link the hubs of a service either with this resource or "+
		"with `iotHubs` of the service's own declaration, never both: the declaration would unlink the hubs that it "+
		"does not name.\n\n"+
		"Link by a managed identity (`authenticationType`) only at a service that is not updated with an api-version "+
		"before 2026-08-31, as azure-native's `IotDpsResource` does by default: such an update could reset the link. "+
		"The service needs the identity, and the identity needs the role IoT Hub Data Contributor at the hub before "+
		"devices register; role assignments are resources of their own.\n\n"+
		"It calls Azure Resource Manager with the login of the provider's configuration. "+
		"Import it by `{resource id of the provisioning service}/linkedHubs/{host name of the hub}`; the key stays "+
		"unknown and untouched until one is declared and changed. A link by a managed identity is imported whole.")
}

// Annotate describes the properties in the schema.
func (a *LinkedHubArgs) Annotate(an infer.Annotator) {
	an.Describe(&a.ProvisioningServiceID,
		"Resource id of the provisioning service: "+
			"`/subscriptions/…/resourceGroups/…/providers/Microsoft.Devices/provisioningServices/…`. Another one "+
			"replaces the link.")
	an.Describe(&a.HubHostName,
		"Host name of the hub, `{name}.azure-devices.net` or `{name}.device.azure-devices.net`. Another one replaces "+
			"the link.")
	an.Describe(&a.AuthenticationType,
		"How the service authenticates at the hub: by a key (KeyBased, the default), by its system-assigned identity "+
			"or by one of its user-assigned identities. It changes in place. Identities need a cloud that serves the "+
			"api-version 2026-08-31.")
	an.Describe(&a.IdentityID,
		"Resource id of the user-assigned identity, with UserAssigned only: "+
			"`/subscriptions/…/resourceGroups/…/providers/Microsoft.ManagedIdentity/userAssignedIdentities/…`.")
	an.Describe(&a.PolicyName,
		"Name of the hub's shared access policy that the service uses, with KeyBased only. It needs the rights "+
			"RegistryWrite and ServiceConnect.")
	an.Describe(&a.Key,
		"A key of that policy, base64. If it is left out of an existing link by a key, the service keeps its key. The service "+
			"never returns the key, so a refresh does not detect a change.")
	an.Describe(&a.Location, "Location of the hub.")
	an.Describe(&a.AllocationWeight,
		"Share of devices under the policies Hashed and GeoLatency, 1 to 1000. The default is 1.")
	an.Describe(&a.ApplyAllocationPolicy,
		"Whether the allocation policy assigns devices to the hub. The default is true.")
}

// claim names the link: a hub has one link at a service, under any of its names.
func (a LinkedHubArgs) claim() entry.ClaimKey {
	return entry.ClaimOf(linksName, linkID(a.ProvisioningServiceID, domain.ClassicHost(a.HubHostName)))
}

// linksName is the counterpart of a collection of entries.
const linksName = "linkedHubs"

// linkedHubs is in the id between the service's resource id and the hub's host name.
const linkedHubs = "/" + linksName + "/"

func linkID(service, host string) string { return service + linkedHubs + strings.ToLower(host) }

// parseLinkID reads the id of a link.
func parseLinkID(id string) (service, host string, err error) {
	i := strings.LastIndex(strings.ToLower(id), strings.ToLower(linkedHubs))
	if i < 0 || len(enrollment.CheckServiceID("", id[:i])) > 0 ||
		len(enrollment.CheckHost("", id[i+len(linkedHubs):])) > 0 {
		return "", "",
			fmt.Errorf("the id %q is not of the form {resource id of the provisioning service}%s{host name of the hub}",
				id, linkedHubs)
	}
	return id[:i], id[i+len(linkedHubs):], nil
}

func (a LinkedHubArgs) link() hublink.Link {
	return hublink.Link{
		Host: a.HubHostName, PolicyName: entry.Text(a.PolicyName), Key: entry.Text(a.Key), Identity: a.identity(),
		IdentityID: entry.Text(a.IdentityID), Location: a.Location,
		Weight: a.AllocationWeight, Apply: a.ApplyAllocationPolicy,
	}
}

// keptFrom returns the inputs with the key that an update leaves out and the link keeps: that of a link by a key.
func (a LinkedHubArgs) keptFrom(before LinkedHubArgs) LinkedHubArgs {
	if a.Key == nil && a.identity() == "" && before.identity() == "" {
		a.Key = before.Key
	}
	return a
}

// failure wraps an error with the operation and the link that it failed on.
func (a LinkedHubArgs) failure(verb string, err error) error {
	advice := ""
	if arm.HasStatus(err, http.StatusUnauthorized, http.StatusForbidden) {
		advice = "; check the identity that the provider logs in with: it needs the rights to read and to change the " +
			"provisioning service, such as the role Contributor"
	}
	return fmt.Errorf("%s hub %s at %s: %w%s", verb, a.HubHostName,
		a.ProvisioningServiceID[strings.LastIndex(a.ProvisioningServiceID, "/")+1:], err, advice)
}

// outcome returns the error of a change. If the change was sent, the error marks the state, so that the next update
// finishes it.
func (a LinkedHubArgs) outcome(verb string, sent bool, err error) error {
	switch {
	case err == nil:
		return nil
	case sent:
		return infer.ResourceInitFailedError{Reasons: []string{a.failure(verb, err).Error()}}
	}
	return a.failure(verb, err)
}

// Create links the hub, or takes over an equal link, which only an interrupted creation or another owner of the same
// hub can have made.
func (LinkedHub) Create(ctx context.Context, req infer.CreateRequest[LinkedHubArgs]) (
	infer.CreateResponse[LinkedHubState], error) {
	args := req.Inputs
	response := infer.CreateResponse[LinkedHubState]{ID: linkID(args.ProvisioningServiceID, args.HubHostName),
		Output: LinkedHubState{args, entry.Life{Instance: new(string)}}}
	if args.Key == nil && args.identity() == "" && !entry.IsPartlyUnknown(ctx) {
		return response, args.failure("link", errors.New("a new link by a key needs the property key"))
	}
	if err := hublink.CheckLinkable(args.HubHostName); err != nil {
		return response, args.failure("link", err)
	}
	if req.DryRun {
		return response, nil
	}
	client, err := infer.GetConfig[*Config](ctx).linker(ctx)
	if err != nil {
		return response, args.failure("link", err)
	}
	claims := entry.ClaimsOf(ctx)
	done, err := claims.Lock(ctx, args.claim())
	if err != nil {
		return response, args.failure("link", err)
	}
	defer done()
	result, err := client.Create(ctx, args.ProvisioningServiceID, args.link())
	warnOfNamespaces(ctx, result)
	var exists *hublink.ExistsError
	if errors.As(err, &exists) {
		urn := entry.URN(ctx)
		return response, args.failure(
			"link", fmt.Errorf("%w, by %s, and differs from the declared one. Nothing was changed. "+
				"hint: if another resource of this stack declared the link, keep that resource: by the option aliases, "+
				"or by `pulumi state rename`; "+
				"if this resource is to be replaced, run `pulumi state untaint '%s'`, or set its option "+
				"deleteBeforeReplace; "+
				"if it was created elsewhere, import it: pulumi import %s %s %s --generate-code=false (with --provider "+
				"when the resource names one)",
				err, authenticationOf(exists.Present), urn, urn.Type(), urn.Name(), response.ID))
	}
	if response.Output.Instance = entry.NewInstance(); err == nil || result.Sent {
		claims.Hold(entry.Owner{URN: string(entry.URN(ctx)), Instance: *response.Output.Instance}, args.claim())
	}
	return response, args.outcome("link", result.Sent, err)
}

// warnOfNamespaces warns that a Device Registry namespace also owns links of the service.
func warnOfNamespaces(ctx context.Context, result hublink.Result) {
	if len(result.Namespaces) > 0 {
		p.GetLogger(ctx).Warningf("the provisioning service is linked to the Device Registry namespace %s, which "+
			"owns the links of the hubs that it manages; "+
			"LinkedHub adds a classic link to them", strings.Join(result.Namespaces, ", "))
	}
}

// WireDependencies marks all outputs that are known as inputs as known in previews.
func (LinkedHub) WireDependencies(f infer.FieldSelector, _ *LinkedHubArgs, state *LinkedHubState) {
	for _, output := range []any{
		&state.ProvisioningServiceID, &state.HubHostName, &state.AuthenticationType, &state.IdentityID,
		&state.PolicyName, &state.Key, &state.Location, &state.AllocationWeight, &state.ApplyAllocationPolicy,
		&state.Instance,
	} {
		f.OutputField(output).AlwaysKnown()
	}
}

// Update changes the link to what is declared, and recreates it if it was removed.
func (LinkedHub) Update(ctx context.Context, req infer.UpdateRequest[LinkedHubArgs,
	LinkedHubState]) (infer.UpdateResponse[LinkedHubState], error) {
	args := req.Inputs.keptFrom(req.State.LinkedHubArgs)
	response := infer.UpdateResponse[LinkedHubState]{Output: LinkedHubState{args, req.State.Life}}
	if req.DryRun {
		return response, nil
	}
	client, err := infer.GetConfig[*Config](ctx).linker(ctx)
	if err != nil {
		return response, args.failure("change the link of", err)
	}
	claims := entry.ClaimsOf(ctx)
	done, err := claims.Lock(ctx, args.claim())
	if err != nil {
		return response, args.failure("change the link of", err)
	}
	defer done()
	claims.Hold(entry.Owner{URN: string(entry.URN(ctx)), Instance: entry.Text(req.State.Instance)}, args.claim())
	result, err := client.Update(ctx, args.ProvisioningServiceID, args.link())
	warnOfNamespaces(ctx, result)
	return response, args.outcome("change the link of", result.Sent, err)
}

// Read refreshes the link or reads it for an import. It returns no id only when the service or the link does not exist
// any more.
func (LinkedHub) Read(ctx context.Context, req infer.ReadRequest[LinkedHubArgs,
	LinkedHubState]) (infer.ReadResponse[LinkedHubArgs, LinkedHubState], error) {
	var response infer.ReadResponse[LinkedHubArgs, LinkedHubState]
	service, host, err := parseLinkID(req.ID)
	if err != nil {
		return response, err
	}
	found := LinkedHubArgs{ProvisioningServiceID: service, HubHostName: host}
	client, err := infer.GetConfig[*Config](ctx).linker(ctx)
	if err != nil {
		return response, found.failure("read the link of", err)
	}
	link, exists, err := client.Find(ctx, service, host)
	if errors.Is(err, hublink.ErrNoService) || err == nil && !exists {
		return response, nil
	}
	if err != nil {
		return response, found.failure("read the link of", err)
	}
	if req.State.ProvisioningServiceID == "" && !strings.EqualFold(host, link.Host) {
		found.HubHostName = link.Host // the import named the hub in another form than its link does
	}
	found.Location, found.AllocationWeight, found.ApplyAllocationPolicy = link.Location, link.Weight, link.Apply
	found.readAuthentication(link)
	response.ID = req.ID
	life := req.State.Life
	if req.State.ProvisioningServiceID == "" { // an import
		life.Instance = entry.NewInstance()
	}
	response.Inputs, response.State = found.spelledAs(req.Inputs),
		LinkedHubState{found.spelledAs(req.State.LinkedHubArgs), life}
	return response, nil
}

// Delete removes this link and no other, unless another resource owns it by now. A link that does not exist is not an
// error.
func (LinkedHub) Delete(ctx context.Context, req infer.DeleteRequest[LinkedHubState]) (infer.DeleteResponse, error) {
	var response infer.DeleteResponse
	claims, key := entry.ClaimsOf(ctx), req.State.claim()
	done, err := claims.Lock(ctx, key)
	if err != nil {
		return response, req.State.failure("unlink", err)
	}
	defer done()
	if other := claims.OtherOwnerOf(entry.Owner{URN: string(entry.URN(ctx)), Instance: entry.Text(req.State.Instance)},
		key); other != nil {
		if !other.Holds {
			return response, req.State.failure("unlink", errors.New(entry.DeclaredElsewhere(other.URN)))
		}
		p.GetLogger(ctx).Infof("the link of hub %s is kept for %s", req.State.HubHostName, other.URN)
		return response, nil
	}
	client, err := infer.GetConfig[*Config](ctx).linker(ctx)
	if err == nil {
		err = client.Remove(ctx, req.State.ProvisioningServiceID, req.State.HubHostName)
	}
	if err != nil {
		return response, req.State.failure("unlink", err)
	}
	return response, nil
}
