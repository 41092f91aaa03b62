package provider

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"

	"evenkeel/internal/azure/arm"
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

// LinkedHub is one hub in the list of a provisioning service that others own or share.
type LinkedHub struct{}

// LinkedHubArgs are the inputs of a LinkedHub.
type LinkedHubArgs struct {
	ProvisioningServiceID string  `pulumi:"provisioningServiceId" provider:"replaceOnChanges"`
	HubHostName           string  `pulumi:"hubHostName" provider:"replaceOnChanges"`
	PolicyName            string  `pulumi:"policyName"`
	Key                   *string `pulumi:"key,optional" provider:"secret"`
	Location              string  `pulumi:"location"`
	AllocationWeight      *int    `pulumi:"allocationWeight,optional"`
	ApplyAllocationPolicy *bool   `pulumi:"applyAllocationPolicy,optional"`
}

// LinkedHubState is the state of a LinkedHub. The service tells no key, so the state's is the one that was sent last.
type LinkedHubState struct {
	LinkedHubArgs
	entry.Life
}

// Annotate describes the resource in the schema.
func (h *LinkedHub) Annotate(an infer.Annotator) {
	an.SetToken("index", "LinkedHub")
	an.Describe(h, "Links one hub to an existing provisioning service, so that many stacks share one: it changes its own entry in the service's list of hubs, "+
		"and nothing else. A service has either this resource or the `iotHubs` of its own declaration, never both: the declaration would unlink what it does not name.\n\n"+
		"It speaks to Azure Resource Manager, with the login of the provider's configuration. "+
		"Import it by `{resource id of the provisioning service}/linkedHubs/{host name of the hub}`; the key stays unknown and untouched until one is declared and changed.")
}

// Annotate describes the properties in the schema.
func (a *LinkedHubArgs) Annotate(an infer.Annotator) {
	an.Describe(&a.ProvisioningServiceID, "Resource id of the provisioning service: `/subscriptions/…/resourceGroups/…/providers/Microsoft.Devices/provisioningServices/…`. Another one replaces the link.")
	an.Describe(&a.HubHostName, "Host name of the hub, `{name}.azure-devices.net`. Another one replaces the link.")
	an.Describe(&a.PolicyName, "Name of the hub's shared access policy that the service uses. It needs the rights RegistryWrite and ServiceConnect.")
	an.Describe(&a.Key, "A key of that policy, base64. Left out of an existing link, the service keeps the key it has. The service never tells it, so a refresh does not see another one.")
	an.Describe(&a.Location, "Location of the hub.")
	an.Describe(&a.AllocationWeight, "Share of devices under the policies Hashed and GeoLatency, 1 to 1000. 1 when left out.")
	an.Describe(&a.ApplyAllocationPolicy, "Whether the hub takes devices by allocation policy. True when left out.")
}

// claim names the link: a hub has one at a service.
func (a LinkedHubArgs) claim() entry.ClaimKey {
	return entry.ClaimOf(linksName, linkID(a.ProvisioningServiceID, a.HubHostName))
}

// linksName stands where a collection does for entries.
const linksName = "linkedHubs"

// linkedHubs stands in the id between the service's resource id and the hub's host name.
const linkedHubs = "/" + linksName + "/"

func linkID(service, host string) string { return service + linkedHubs + strings.ToLower(host) }

// parseLinkID reads the id of a link.
func parseLinkID(id string) (service, host string, err error) {
	i := strings.LastIndex(strings.ToLower(id), strings.ToLower(linkedHubs))
	if i < 0 || len(enrollment.CheckServiceID("", id[:i])) > 0 || len(enrollment.CheckHost("", id[i+len(linkedHubs):])) > 0 {
		return "", "", fmt.Errorf("the id %q is not of the form {resource id of the provisioning service}%s{host name of the hub}", id, linkedHubs)
	}
	return id[:i], id[i+len(linkedHubs):], nil
}

func (a LinkedHubArgs) link() hublink.Link {
	return hublink.Link{
		Host: a.HubHostName, PolicyName: a.PolicyName, Key: entry.Text(a.Key), Location: a.Location, Weight: a.AllocationWeight, Apply: a.ApplyAllocationPolicy,
	}
}

// failure says what was being done to which link.
func (a LinkedHubArgs) failure(verb string, err error) error {
	advice := ""
	if arm.HasStatus(err, http.StatusUnauthorized, http.StatusForbidden) {
		advice = "; look at the identity that the provider logs in with: it needs the right to read and to change the provisioning service, as a Contributor has it"
	}
	return fmt.Errorf("%s hub %s at %s: %w%s", verb, a.HubHostName, a.ProvisioningServiceID[strings.LastIndex(a.ProvisioningServiceID, "/")+1:], err, advice)
}

// outcome is the error of a change. Of one that was sent the state says so, so that the next update brings it to its end.
func (a LinkedHubArgs) outcome(verb string, sent bool, err error) error {
	switch {
	case err == nil:
		return nil
	case sent:
		return infer.ResourceInitFailedError{Reasons: []string{a.failure(verb, err).Error()}}
	}
	return a.failure(verb, err)
}

// Create links the hub, or takes over an equal link, which only an interrupted creation or somebody with the same hub can have made.
func (LinkedHub) Create(ctx context.Context, req infer.CreateRequest[LinkedHubArgs]) (infer.CreateResponse[LinkedHubState], error) {
	args := req.Inputs
	response := infer.CreateResponse[LinkedHubState]{ID: linkID(args.ProvisioningServiceID, args.HubHostName), Output: LinkedHubState{args, entry.Life{Instance: new(string)}}}
	if args.Key == nil && !entry.IsPartlyUnknown(ctx) {
		return response, args.failure("link", errors.New("a new link needs the property key"))
	}
	if req.DryRun {
		return response, nil
	}
	client, err := infer.GetConfig[*Config](ctx).linker(ctx)
	if err != nil {
		return response, args.failure("link", err)
	}
	claims := entry.ClaimsOf(ctx)
	done, err := claims.Turn(ctx, args.claim())
	if err != nil {
		return response, args.failure("link", err)
	}
	defer done()
	sent, err := client.Create(ctx, args.ProvisioningServiceID, args.link())
	var exists *hublink.ExistsError
	if errors.As(err, &exists) {
		urn := entry.URN(ctx)
		return response, args.failure("link", fmt.Errorf("%w, by the policy %q and in another way than is declared. Nothing was changed. "+
			"hint: if another resource of this stack declared the link, keep that resource: by the option aliases, or by `pulumi state rename`; "+
			"if this resource is to be replaced, run `pulumi state untaint '%s'`, or set its option deleteBeforeReplace; "+
			"if it was made elsewhere, import it: pulumi import %s %s %s --generate-code=false (with --provider when the resource names one)",
			err, exists.Present.PolicyName, urn, urn.Type(), urn.Name(), response.ID))
	}
	if response.Output.Instance = entry.NewInstance(); err == nil || sent {
		claims.Hold(entry.Owner{URN: string(entry.URN(ctx)), Instance: *response.Output.Instance}, args.claim())
	}
	return response, args.outcome("link", sent, err)
}

// WireDependencies leaves it to previews to say which outputs they know: all that are known as inputs.
func (LinkedHub) WireDependencies(f infer.FieldSelector, _ *LinkedHubArgs, state *LinkedHubState) {
	for _, output := range []any{
		&state.ProvisioningServiceID, &state.HubHostName, &state.PolicyName, &state.Key, &state.Location, &state.AllocationWeight, &state.ApplyAllocationPolicy,
		&state.Instance,
	} {
		f.OutputField(output).AlwaysKnown()
	}
}

// Update makes the link what is declared; a lost one is made anew.
func (LinkedHub) Update(ctx context.Context, req infer.UpdateRequest[LinkedHubArgs, LinkedHubState]) (infer.UpdateResponse[LinkedHubState], error) {
	args := req.Inputs
	if args.Key == nil {
		args.Key = req.State.Key // what is left out is kept
	}
	response := infer.UpdateResponse[LinkedHubState]{Output: LinkedHubState{args, req.State.Life}}
	if req.DryRun {
		return response, nil
	}
	client, err := infer.GetConfig[*Config](ctx).linker(ctx)
	if err != nil {
		return response, args.failure("change the link of", err)
	}
	claims := entry.ClaimsOf(ctx)
	done, err := claims.Turn(ctx, args.claim())
	if err != nil {
		return response, args.failure("change the link of", err)
	}
	defer done()
	claims.Hold(entry.Owner{URN: string(entry.URN(ctx)), Instance: entry.Text(req.State.Instance)}, args.claim())
	sent, err := client.Update(ctx, args.ProvisioningServiceID, args.link())
	return response, args.outcome("change the link of", sent, err)
}

// Read refreshes the link or reads it for an import. It returns no id only when the service, or its list, is there no more.
func (LinkedHub) Read(ctx context.Context, req infer.ReadRequest[LinkedHubArgs, LinkedHubState]) (infer.ReadResponse[LinkedHubArgs, LinkedHubState], error) {
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
	found.PolicyName, found.Location, found.AllocationWeight, found.ApplyAllocationPolicy = link.PolicyName, link.Location, link.Weight, link.Apply
	response.ID = req.ID
	life := req.State.Life
	if req.State.ProvisioningServiceID == "" { // an import
		life.Instance = entry.NewInstance()
	}
	response.Inputs, response.State = found.spelledAs(req.Inputs), LinkedHubState{found.spelledAs(req.State.LinkedHubArgs), life}
	return response, nil
}

// spelledAs returns what was found as another spells it, wherever both mean the same; the key is the other's.
func (a LinkedHubArgs) spelledAs(other LinkedHubArgs) LinkedHubArgs {
	a.Key = other.Key
	if strings.EqualFold(a.ProvisioningServiceID, other.ProvisioningServiceID) {
		a.ProvisioningServiceID = other.ProvisioningServiceID
	}
	if strings.EqualFold(a.HubHostName, other.HubHostName) {
		a.HubHostName = other.HubHostName
	}
	if strings.EqualFold(a.PolicyName, other.PolicyName) {
		a.PolicyName = other.PolicyName
	}
	if hublink.SameLocation(a.Location, other.Location) {
		a.Location = other.Location
	}
	if hublink.SameWeight(a.AllocationWeight, other.AllocationWeight) {
		a.AllocationWeight = other.AllocationWeight
	}
	if hublink.SameApply(a.ApplyAllocationPolicy, other.ApplyAllocationPolicy) {
		a.ApplyAllocationPolicy = other.ApplyAllocationPolicy
	}
	return a
}

// Check reports every fault of the inputs at once.
func (LinkedHub) Check(ctx context.Context, req infer.CheckRequest) (infer.CheckResponse[LinkedHubArgs], error) {
	args, failures, err := infer.DefaultCheck[LinkedHubArgs](ctx, req.NewInputs)
	if err != nil {
		return infer.CheckResponse[LinkedHubArgs]{}, err
	}
	entry.CleanKey(&args.Key)
	faults := enrollment.CheckServiceID("provisioningServiceId", args.ProvisioningServiceID)
	faults = append(faults, enrollment.CheckHost("hubHostName", args.HubHostName)...)
	if args.Key != nil {
		faults = append(faults, enrollment.CheckKey("key", *args.Key)...)
	}
	faults = append(faults, enrollment.CheckPolicyName("policyName", args.PolicyName)...)
	if strings.TrimSpace(args.Location) == "" {
		faults = append(faults, enrollment.Fault{Path: "location", Message: "it is empty: give the location of the hub, such as westeurope"})
	}
	if args.AllocationWeight != nil {
		faults = append(faults, enrollment.CheckWeight("allocationWeight", *args.AllocationWeight)...)
	}
	if args.ProvisioningServiceID != "" && args.HubHostName != "" {
		faults = append(faults, entry.DeclareOne(ctx, "hubHostName", linksName, linkID(args.ProvisioningServiceID, args.HubHostName))...)
	}
	return infer.CheckResponse[LinkedHubArgs]{Inputs: args, Failures: entry.WithFaults(failures, req.NewInputs, faults)}, nil
}

// Delete removes this link and no other, unless another resource has it by now; one that is gone already is no error.
func (LinkedHub) Delete(ctx context.Context, req infer.DeleteRequest[LinkedHubState]) (infer.DeleteResponse, error) {
	var response infer.DeleteResponse
	claims, key := entry.ClaimsOf(ctx), req.State.claim()
	done, err := claims.Turn(ctx, key)
	if err != nil {
		return response, req.State.failure("unlink", err)
	}
	defer done()
	if rival := claims.RivalOf(entry.Owner{URN: string(entry.URN(ctx)), Instance: entry.Text(req.State.Instance)}, key); rival != nil {
		if !rival.Holds {
			return response, req.State.failure("unlink", errors.New(entry.DeclaredElsewhere(rival.URN)))
		}
		p.GetLogger(ctx).Infof("the link of hub %s is kept for %s", req.State.HubHostName, rival.URN)
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

// Diff compares the inputs with the link as the state knows it. An imported link's key is unknown: then a key counts as changed only
// when it is not the one of the inputs before. An empty text is one that is not known yet, which addUnknown deals with.
func (LinkedHub) Diff(ctx context.Context, req infer.DiffRequest[LinkedHubArgs, LinkedHubState]) (infer.DiffResponse, error) {
	response := infer.DiffResponse{DetailedDiff: map[string]p.PropertyDiff{}}
	want, known := req.Inputs, req.State.LinkedHubArgs
	spelled, isReplaced := known.spelledAs(want), false
	before := known.Key
	if before == nil {
		before = oldKey(ctx)
	}
	for _, property := range []struct {
		name     string
		changed  bool
		replaces bool
	}{
		{"provisioningServiceId", want.ProvisioningServiceID != "" && spelled.ProvisioningServiceID != want.ProvisioningServiceID, true},
		{"hubHostName", want.HubHostName != "" && spelled.HubHostName != want.HubHostName, true},
		{"policyName", want.PolicyName != "" && spelled.PolicyName != want.PolicyName, false},
		{"location", want.Location != "" && spelled.Location != want.Location, false},
		{"allocationWeight", !hublink.SameWeight(known.AllocationWeight, want.AllocationWeight), false},
		{"applyAllocationPolicy", !hublink.SameApply(known.ApplyAllocationPolicy, want.ApplyAllocationPolicy), false},
		{"key", want.Key != nil && before != nil && *want.Key != *before, false},
	} {
		kind := p.Update
		if property.replaces {
			kind = p.UpdateReplace
		}
		if property.changed {
			response.DetailedDiff[property.name] = p.PropertyDiff{Kind: kind, InputDiff: true}
			isReplaced = isReplaced || property.replaces
		}
	}
	response.HasChanges = len(response.DetailedDiff) > 0
	// A replacement of the same link comes after the deletion, also one that the program asks for by replaceOnChanges.
	if response.DeleteBeforeReplace = !isReplaced; !isReplaced {
		entry.ClaimsOf(ctx).Keep(entry.Owner{URN: string(entry.URN(ctx)), Instance: entry.Text(req.State.Instance)}, slices.Values([]entry.ClaimKey{known.claim()}))
	}
	return response, nil
}

// oldKey is the key of the last operation's inputs; nil for none.
func oldKey(ctx context.Context) *string {
	value := entry.OldInputs(ctx).Get("key")
	if !value.IsString() {
		return nil
	}
	key := value.AsString()
	return &key
}
