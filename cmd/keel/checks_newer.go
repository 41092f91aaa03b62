package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"evenkeel/internal/keel/background"
	"evenkeel/internal/keel/environment"
)

// newerPatience limits how long doctor reads an environment's service and hubs.
const newerPatience = 2 * time.Minute

// deployed is what the environment has, as the newest api-versions show it: the program's own ones do not show
// everything.
type deployed struct {
	environment.Inventory
	// service is nil if the environment has none yet.
	service *environment.View
	hubs    []environment.View // in the order of Inventory.Hubs
}

// deployed reads the environment's service and hubs, once. Otherwise the finding tells why not.
func (d *diagnosis) deployed(ctx context.Context) (deployed, *finding) {
	if d.read == nil {
		ctx, cancel := context.WithTimeout(ctx, newerPatience)
		defer cancel()
		d.read, d.unread = d.readDeployed(ctx)
	}
	return *d.read, d.unread
}

func (d *diagnosis) readDeployed(ctx context.Context) (*deployed, *finding) {
	var found deployed
	without := func(f finding) (*deployed, *finding) { return &found, &f }
	if !d.selected.HasFileBackend() && d.selected.Pulumi == "" {
		return without(noteFinding("build it with: keel build", "not checked: there is no pulumi"))
	}
	var err error
	if found.Inventory, err = d.selected.Inventory(ctx); err != nil {
		return without(noteFinding("", "not checked: the state cannot be read"))
	}
	if found.Service == "" && len(found.Hubs) == 0 {
		return without(noteFinding("", "not checked: environment %s has no provisioning service and no hubs yet",
			d.selected.Stack))
	}
	azure, unread := d.manager()
	if unread != nil {
		return without(*unread)
	}
	if found.Service != "" {
		view, err := azure.ViewService(ctx, found.Service)
		if err != nil {
			return without(unreadable("provisioning service", found.Service, err))
		}
		found.service = &view
	}
	for _, hub := range found.Hubs {
		view, err := azure.ViewHub(ctx, hub.ID)
		if err != nil {
			return without(unreadable("hub", hub.ID, err))
		}
		found.hubs = append(found.hubs, view)
	}
	return &found, nil
}

func unreadable(kind, id string, err error) finding {
	return failedFinding(fmt.Errorf("read the %s %s: %w", kind, nameOf(id), err),
		"if it was deleted outside Pulumi: keel exec -- pulumi refresh; otherwise check that your account may read it")
}

// nameOf is the last part of a resource id.
func nameOf(id string) string { return id[strings.LastIndex(id, "/")+1:] }

// groupOf is the resource group in a resource id.
func groupOf(id string) string {
	if found := regexp.MustCompile(`(?i)/resourceGroups/([^/]+)/`).FindStringSubmatch(id); found != nil {
		return found[1]
	}
	return ""
}

// manager returns the management API of the environment: Azure's, to which the check of the login has logged in, or
// the emulator's.
func (d *diagnosis) manager() (*environment.ResourceManager, *finding) {
	if d.azure != nil {
		if d.cloud == nil {
			f := noteFinding("first: "+loginAdvice, "not checked: there is no login")
			return nil, &f
		}
		return d.cloud, nil
	}
	record, err := d.process.Find()
	if errors.Is(err, background.ErrStopped) {
		f := noteFinding("keel emulator start", "not checked: the emulator does not run")
		return nil, &f
	}
	var endpoints environment.Endpoints
	if err == nil {
		endpoints, err = decode(record)
	}
	var azure *environment.ResourceManager
	if err == nil {
		azure, err = environment.Emulator(endpoints)
	}
	if err != nil {
		f := failedFinding(err, "keel emulator stop, then keel emulator start; its log: keel emulator logs")
		return nil, &f
	}
	return azure, nil
}

// keys checks that the keys that the environment and keel sign with can work: a service or a hub with disableLocalAuth
// refuses the keys of all its policies.
func (d *diagnosis) keys(ctx context.Context) []finding {
	found, unread := d.deployed(ctx)
	if unread != nil {
		return []finding{*unread}
	}
	var findings []finding
	if found.service != nil && found.service.LocalAuthDisabled {
		findings = append(findings, found.serviceWithoutKeys())
	}
	for i, hub := range found.hubs {
		if hub.LocalAuthDisabled {
			findings = append(findings, found.hubWithoutKeys(found.Hubs[i], hub))
		}
	}
	if len(findings) == 0 {
		return []finding{ok("the provisioning service and %d hubs accept keys", len(found.Hubs))}
	}
	return findings
}

func (f deployed) serviceWithoutKeys() finding {
	name := nameOf(f.Service)
	keysOn := fmt.Sprintf("az iot dps update --name %s --resource-group %s --disable-local-auth false", quote(name),
		quote(groupOf(f.Service)))
	switch {
	case !f.UsesServiceKey:
		return ok("provisioning service %s refuses keys (disableLocalAuth), and this environment logs in with "+
			"Microsoft Entra ID", name)
	case f.OwnsService:
		return finding{Verdict: failed, Detail: fmt.Sprintf("provisioning service %s refuses keys (disableLocalAuth): "+
			"changes of enrollments and keel devices, device and reset fail with 401002; devices still register", name),
			Hint: keysOn + " (extension azure-iot 0.31.0 or later); without keys, only a service that another " +
				"stack or tool declares can be used (provisioningService)"}
	}
	return finding{Verdict: failed, Detail: fmt.Sprintf("provisioning service %s refuses keys (disableLocalAuth), and "+
		"provisioningKey is one: changes of enrollments fail with 401002; devices still register", name),
		Hint: "log in with Microsoft Entra ID: pulumi config rm provisioningPolicy && pulumi config rm " +
			"provisioningKey; the account needs the role Device Provisioning Service Data Contributor"}
}

func (f deployed) hubWithoutKeys(hub environment.InventoryHub, view environment.View) finding {
	name := fmt.Sprintf("%s (%s)", hub.Name, hub.AzureName())
	kind, linked := "", false
	if f.service != nil {
		kind, linked = f.service.IdentityOf(view.Host)
	}
	switch {
	case !linked:
		return noteFinding("", "%s refuses keys (disableLocalAuth), and is not linked", name)
	case kind != "":
		return ok("%s refuses keys (disableLocalAuth); the provisioning service uses its %s identity there", name, kind)
	}
	return finding{Verdict: failed, Detail: fmt.Sprintf("%s refuses keys (disableLocalAuth), and the provisioning "+
		"service signs with one: registrations of its devices fail with 401002", name),
		Hint: fmt.Sprintf("az iot hub update --name %s --resource-group %s --disable-local-auth false, or link it by "+
			"a managed identity", quote(hub.AzureName()), quote(groupOf(hub.ID)))}
}

// updates checks that the program's next update resets nothing that its api-versions do not have. A PUT replaces the
// resource.
func (d *diagnosis) updates(ctx context.Context) []finding {
	found, unread := d.deployed(ctx)
	if unread != nil {
		return []finding{noteFinding("", "not checked: see keys")}
	}
	var findings []finding
	if found.service != nil && found.OwnsService && len(found.service.Hidden) > 0 {
		findings = append(findings, finding{Verdict: failed, Detail: fmt.Sprintf("the next update of provisioning "+
			"service %s by keel up may reset %s: api-version %s, which the program writes with, does not have them",
			nameOf(found.Service), features(found.service.Hidden),
			environment.ProgramVersion("Microsoft.Devices/provisioningServices")),
			Hint: "change nothing of the service with keel up, or move it: docs/how-to/newer-azure.md"})
	}
	for i, view := range found.hubs {
		hub := found.Hubs[i]
		reset := view.Hidden
		if view.LocalAuthDisabled && !hub.LocalAuthDisabled {
			reset = append([]string{localAuthMember}, reset...)
		}
		if len(reset) > 0 {
			findings = append(findings, finding{Verdict: failed, Detail: fmt.Sprintf("the next update of %s (%s) by "+
				"keel up may reset %s, which the program does not declare", hub.Name, hub.AzureName(), features(reset)),
				Hint: "docs/how-to/newer-azure.md"})
		}
	}
	switch {
	case len(findings) > 0:
		return findings
	case found.service != nil && !found.OwnsService && len(found.service.Hidden) > 0:
		return []finding{ok("they reset nothing; provisioning service %s has %s, and this environment does not "+
			"update it", nameOf(found.Service), features(found.service.Hidden))}
	}
	return []finding{ok("they reset nothing that newer api-versions show")}
}

const localAuthMember = "properties.disableLocalAuth"

// linkMember matches the path of a member of a link.
var linkMember = regexp.MustCompile(`^properties\.iotHubs\[(.+)\]\.(authenticationType|` +
	`selectedUserAssignedIdentityResourceId)$`)

// features names members for people, each feature once; members without a name keep their path.
func features(members []string) string {
	var names []string
	seen := map[string]bool{}
	for _, member := range members {
		name := member
		switch member {
		case localAuthMember:
			name = "the refusal of keys (disableLocalAuth)"
		case "identity":
			name = "the managed identity (identity)"
		case "properties.deviceRegistryNamespaces", "properties.deviceRegistry":
			name = "the link to a Device Registry namespace (" + nameOf(strings.ReplaceAll(member, ".", "/")) + ")"
		}
		if link := linkMember.FindStringSubmatch(member); link != nil {
			name = "the link of " + link[1] + " by identity (authenticationType)"
		}
		if !seen[name] {
			names = append(names, name)
		}
		seen[name] = true
	}
	return strings.Join(names, ", ")
}
