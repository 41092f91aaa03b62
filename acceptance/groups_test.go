//go:build acceptance

package acceptance_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/iothub/armiothub"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources"
	"github.com/rogpeppe/go-internal/testscript"

	own "evenkeel/acceptance/checkout"
	"evenkeel/internal/keel/environment"
)

// portal is a client of the subscription that does not use evenkeel.
type portal struct {
	groups *armresources.ResourceGroupsClient
	hubs   *armiothub.ResourceClient
}

// endpointsOf returns the addresses of the emulator of a checkout.
func endpointsOf(folder string) (environment.Endpoints, error) {
	out, err := own.Keel(folder, "emulator", "status", "--json")
	if err != nil {
		return environment.Endpoints{}, err
	}
	var status struct{ Endpoints environment.Endpoints }
	err = json.Unmarshal(out, &status)
	return status.Endpoints, err
}

func openPortal(folder string) (portal, error) {
	endpoints, err := endpointsOf(folder)
	if err != nil {
		return portal{}, err
	}
	credential, client, err := environment.Client(endpoints)
	if err != nil {
		return portal{}, err
	}
	options := &arm.ClientOptions{ClientOptions: client, DisableRPRegistration: true}
	groups, err1 := armresources.NewResourceGroupsClient(endpoints.SubscriptionID, credential, options)
	hubs, err2 := armiothub.NewResourceClient(endpoints.SubscriptionID, credential, options)
	return portal{groups, hubs}, errors.Join(err1, err2)
}

// group returns the one resource group of a stack.
func (p portal) group(stack string) (*armresources.ResourceGroup, error) {
	var found []*armresources.ResourceGroup
	for pager := p.groups.NewListPager(nil); pager.More(); {
		page, err := pager.NextPage(context.Background())
		if err != nil {
			return nil, err
		}
		for _, g := range page.Value {
			if name := g.Tags["stack"]; name != nil && *name == stack {
				found = append(found, g)
			}
		}
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("got %d resource groups of stack %q, want one", len(found), stack)
	}
	return found[0], nil
}

// portalCommand returns a script command that calls do with the resource group of the stack in its first argument.
func portalCommand(do func(portal, *armresources.ResourceGroup, []string) error) func(*testscript.TestScript, bool,
	[]string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) == 0 {
			ts.Fatalf("usage: COMMAND STACK ARGUMENT...")
		}
		p, err := openPortal(checkout)
		ts.Check(err)
		group, err := p.group(args[0])
		ts.Check(err)
		ts.Check(do(p, group, args[1:]))
	}
}

// wantTags implements `grouptags STACK TAG=PREFIX...`, which checks that the group has these tags and that their values
// begin with PREFIX.
func wantTags(_ portal, group *armresources.ResourceGroup, wants []string) error {
	for _, want := range wants {
		name, value, _ := strings.Cut(want, "=")
		if got := group.Tags[name]; got == nil || !strings.HasPrefix(*got, value) {
			return fmt.Errorf("got tag %s %v, want %s…", name, got, value)
		}
	}
	return nil
}

// setTag implements `grouptag STACK TAG=VALUE`, which sets a tag of the group; an empty value removes the tag.
func setTag(p portal, group *armresources.ResourceGroup, args []string) error {
	name, value, _ := strings.Cut(args[0], "=")
	tags := maps.Clone(group.Tags)
	if tags[name] = &value; value == "" {
		delete(tags, name)
	}
	_, err := p.groups.Update(context.Background(), *group.Name, armresources.ResourceGroupPatchable{Tags: tags}, nil)
	return err
}

// addForeignHub implements `stranger STACK`, which creates a hub in the group without keel.
func addForeignHub(p portal, group *armresources.ResourceGroup, _ []string) error {
	poller, err := p.hubs.BeginCreateOrUpdate(context.Background(), *group.Name, "stranger", armiothub.Description{
		Location: group.Location, SKU: &armiothub.SKUInfo{Name: to.Ptr(armiothub.IotHubSKUS1),
			Capacity: to.Ptr[int64](1)},
	}, nil)
	if err == nil {
		_, err = poller.PollUntilDone(context.Background(), nil)
	}
	return err
}

// stackTags implements `stacktags FILE`, which writes all tags in the cloud and in the state except expiresAt, so that
// two files can be compared.
func stackTags(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: stacktags FILE")
	}
	p, err := openPortal(checkout)
	ts.Check(err)
	group, err := p.group("mine")
	ts.Check(err)
	var lines []string
	for name, value := range group.Tags {
		lines = append(lines, "group "+name+" "+*value)
	}
	text, err := own.Keel(checkout, "-s", "mine", "exec", "--", "pulumi", "stack", "export")
	ts.Check(err)
	type side struct{ Tags map[string]string }
	var state struct {
		Deployment struct {
			Resources []struct {
				URN, ID         string
				Inputs, Outputs side
			}
		}
	}
	ts.Check(json.Unmarshal(text, &state))
	for _, r := range state.Deployment.Resources {
		for _, s := range []side{r.Inputs, r.Outputs} {
			lines = append(lines, r.URN+" "+r.ID)
			for name, value := range s.Tags {
				lines = append(lines, r.URN+" "+name+" "+value)
			}
		}
	}
	slices.Sort(lines)
	lines = slices.DeleteFunc(lines, func(line string) bool { return strings.Contains(line, " expiresAt ") })
	ts.Check(os.WriteFile(filepath.Join(ts.Getenv("WORK"), args[0]), []byte(strings.Join(lines, "\n")+"\n"), 0o600))
}
