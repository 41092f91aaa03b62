package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"evenkeel/internal/hint"
	"evenkeel/internal/keel/environment"
	"evenkeel/internal/keel/toolchain"
)

// addTarget adds the flags that select where environments run and where their state is kept.
func (a *app) addTarget(root *cobra.Command) {
	root.PersistentFlags().StringVar(&a.target, "target", a.variable("EVENKEEL_TARGET"),
		"where to deploy a new environment: local or azure (or EVENKEEL_TARGET; default local); an existing one "+
			"keeps its target")
	root.PersistentFlags().StringVar(&a.backend, "backend", a.variable("EVENKEEL_BACKEND"),
		"backend of the states, as a URL for pulumi login (or EVENKEEL_BACKEND; default: the checkout, or on Azure "+
			"that of your Pulumi)")
}

// isOnAzure reports whether the selected environment runs on Azure: its configuration decides, or else the flag.
func (a *app) isOnAzure(folder environment.Folder) (bool, error) {
	asked := strings.ToLower(a.target)
	if asked != "" && asked != environment.Local && asked != environment.Azure {
		return false, hint.To(usageError{fmt.Errorf("unknown target %q", a.target)}, "use local or azure")
	}
	settings, err := (&environment.Environment{Folder: folder, Stack: a.stack}).Settings()
	if err != nil {
		return false, err
	}
	have := settings["target"]
	if have != "" && asked != "" && have != asked {
		return false, hint.To(fmt.Errorf("environment %s has target %s", a.stack, have),
			"use another name for target %s", asked)
	}
	return cmp.Or(have, asked) == environment.Azure, nil
}

// place returns the checkout, and whether the selected environment runs on Azure.
func (a *app) place() (folder environment.Folder, azure bool, err error) {
	if folder, err = a.checkout(); err == nil {
		azure, err = a.isOnAzure(folder)
	}
	return folder, azure, err
}

// open returns the selected environment on its target: on the emulator, which it starts, or on Azure.
func (a *app) open(ctx context.Context) (*environment.Environment, error) {
	folder, azure, err := a.place()
	if err != nil {
		return nil, err
	}
	if !azure {
		return a.local(ctx)
	}
	tools, err := a.build(ctx, folder, buildIfStale)
	if err != nil {
		return nil, err
	}
	e := a.environment(folder, tools, environment.Endpoints{})
	e.Target = environment.Azure
	return e, e.Login(ctx)
}

// reader returns an environment that can read the selected backend. It builds Pulumi if the backend is not a folder,
// and does not start the emulator.
func (a *app) reader(ctx context.Context) (*environment.Environment, error) {
	folder, azure, err := a.place()
	if err != nil {
		return nil, err
	}
	e := a.environment(folder, toolchain.Tools{}, environment.Endpoints{})
	if azure {
		e.Target = environment.Azure
	}
	if e.HasFileBackend() {
		return e, nil
	}
	tools, err := a.build(ctx, folder, buildIfStale)
	if err != nil {
		return nil, err
	}
	e.Pulumi = tools.Pulumi
	return e, e.Login(ctx)
}

// outline returns the selected environment without starting anything, if its state is in files; otherwise it opens it.
func (a *app) outline(ctx context.Context) (*environment.Environment, error) {
	folder, azure, err := a.place()
	if err != nil {
		return nil, err
	}
	e := &environment.Environment{Folder: folder, Stack: a.stack, Backend: a.backend, Inherited: a.environ}
	if azure || !e.HasFileBackend() {
		return a.open(ctx)
	}
	return e, nil
}

// cloud returns the management API of the environment's target.
func (a *app) cloud(ctx context.Context, e *environment.Environment) (*environment.ResourceManager, error) {
	open := func() (*environment.ResourceManager, error) { return environment.Emulator(e.Endpoints) }
	if e.Target == environment.Azure {
		open = func() (*environment.ResourceManager, error) { return e.Subscription(ctx) }
	}
	azure, err := open()
	if err == nil {
		azure.Notice = e.Notice
	}
	return azure, err
}
