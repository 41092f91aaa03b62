package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"evenkeel/internal/azure/domain"
	"evenkeel/internal/keel/environment"
)

// completionPatience bounds how long a shell waits after a Tab. Names that are not known by then are not offered;
// completion starts no emulator and builds nothing.
const completionPatience = 2 * time.Second

// offer returns a completion that offers what names returns. After an error it offers nothing.
func (a *app) offer(names func(ctx context.Context, e *environment.Environment) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 && cmd.ValidArgsFunction != nil { // each verb takes one
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		folder, err := a.checkout()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(context.Background(), completionPatience)
		defer cancel()
		if a.stack == "" {
			a.stack = a.defaultStack()
		}
		return names(ctx, &environment.Environment{Folder: folder, Stack: a.stack}), cobra.ShellCompDirectiveNoFileComp
	}
}

func (a *app) offerEnvironments() cobra.CompletionFunc {
	return a.offer(func(_ context.Context, e *environment.Environment) []string {
		names, _ := e.Folder.Stacks()
		return names
	})
}

func (a *app) offerHubs() cobra.CompletionFunc {
	return a.offer(func(_ context.Context, e *environment.Environment) []string {
		hubs, _ := e.Declared(environment.HubType)
		return hubs
	})
}

// offerDevices offers the devices with an individual enrollment, and those on the hubs of a running emulator.
func (a *app) offerDevices() cobra.CompletionFunc {
	return a.offer(func(ctx context.Context, e *environment.Environment) []string {
		found := map[string]bool{}
		enrolled, _ := e.Declared(environment.EnrollmentType)
		for _, id := range enrolled {
			found[id] = true
		}
		summary, err := e.Summary(ctx)
		client, controlErr := a.control(e.Folder)
		if err == nil && controlErr == nil {
			for _, hub := range summary.Hubs {
				ids, _ := client.Devices(ctx, strings.ToLower(hub)+"."+domain.Hub)
				for _, id := range ids {
					found[id] = true
				}
			}
		}
		return slices.Sorted(maps.Keys(found))
	})
}

func (a *app) offerSnapshots() cobra.CompletionFunc {
	return a.offer(func(ctx context.Context, e *environment.Environment) (names []string) {
		client, err := a.control(e.Folder)
		if err != nil {
			return nil
		}
		list, _ := client.Snapshots(ctx)
		for _, s := range list {
			names = append(names, s.Name)
		}
		return names
	})
}

// addCompletions sets the completion of each command's argument, by the word for it in the command's usage.
func (a *app) addCompletions(root *cobra.Command) {
	offers := map[string]cobra.CompletionFunc{
		"[NAME]": a.offerEnvironments(), "HUB": a.offerHubs(), "DEVICE": a.offerDevices(), "[DEVICE]": a.offerDevices(),
		"NAME": a.offerSnapshots(), "DEVICE...": a.offerDevices(),
	}
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		words := strings.Fields(cmd.Use)
		cmd.ValidArgsFunction = offers[words[len(words)-1]]
		if cmd.ValidArgsFunction == nil {
			cmd.ValidArgsFunction = cobra.NoFileCompletions
		}
		for _, child := range cmd.Commands() {
			visit(child)
		}
	}
	visit(root)
	for _, flag := range []struct {
		of   []string
		name string
		with cobra.CompletionFunc
	}{
		{nil, "stack", a.offerEnvironments()}, {[]string{"up"}, "from", a.offerEnvironments()},
		{[]string{"env"}, "device", a.offerDevices()},
		{[]string{"devices", "reprovision"}, "from", a.offerHubs()}} {
		cmd, _, err := root.Find(flag.of)
		if err == nil {
			_ = cmd.RegisterFlagCompletionFunc(flag.name, flag.with) // its only error is an unknown flag
		}
	}
}
