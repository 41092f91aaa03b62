package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os/user"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"evenkeel/internal/environment"
)

func newUp(a *app) *cobra.Command {
	var ttl string
	cmd := &cobra.Command{
		Use:   "up [NAME]",
		Short: "Bring an environment up: build, start the emulator, pulumi up",
		Long: "Build what is missing, start the emulator, make the environment's stack (local, unless it is named) and bring it up with\n" +
			"Pulumi, without asking: it costs nothing. What an interrupted run has left behind is mended first. Run again, it changes\n" +
			"nothing. With --ttl the environment gets a lifetime, which a later --ttl leaves as it is: keel extend moves it.",
		Example: "  keel up\n  keel up mine --ttl 8h\n  keel exec -- pulumi config set hubs 3 && keel up\n  keel up --json",
		Args:    maybeArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.named(args); err != nil {
				return err
			}
			var life time.Duration
			if ttl != "" {
				var err error
				if life, err = environment.ParseTTL(ttl); err != nil {
					return usageError{fmt.Errorf("--ttl: %w", err)}
				}
			}
			return a.up(cmd.Context(), life)
		},
	}
	cmd.Flags().StringVar(&ttl, "ttl", "", "how long it is to live: minutes, hours or days, as 90m, 8h, 2d (default: for ever)")
	a.addYes(cmd)
	a.addJSON(cmd)
	return cmd
}

func (a *app) up(ctx context.Context, ttl time.Duration) error {
	e, err := a.local(ctx, always)
	if err != nil {
		return err
	}
	release, err := e.Claim(ctx)
	if err != nil {
		return err
	}
	defer release()
	most, err := e.Folder.MaxLifetime()
	if err != nil {
		return err
	}
	if ttl, err = environment.Life(ttl, most); err != nil {
		return err
	}
	azure, err := a.prepare(ctx, e, lifetime(time.Now(), ttl)...)
	if err != nil {
		return err
	}
	if err := e.Confirm(ctx, azure); err != nil {
		return err
	}
	if err := e.CheckQuota(ctx, azure); err != nil {
		return err
	}
	if err := a.warn(e); err != nil {
		return err
	}
	if a.json {
		e.Stdout = a.stderr // the result alone goes to stdout
	}
	if err := e.Run(ctx, "up", "--yes", "--skip-preview"); err != nil {
		return err
	}
	if a.json {
		return a.printUp(ctx, e)
	}
	a.say("\nTry next: keel devices provision%s   (keel is .evenkeel/bin/keel, or: go run ./cmd/keel)", a.also())
	return nil
}

// lifetime returns the settings of an environment that begins now, unless it has begun before; ttl 0 is for ever.
func lifetime(now time.Time, ttl time.Duration) []environment.Setting {
	created := environment.Setting{Key: environment.CreatedKey, Value: environment.Stamp(now), Born: true}
	expires := environment.Setting{Key: environment.ExpiresKey, Born: true}
	if ttl > 0 {
		created.Keep = true
		expires.Keep, expires.Value = true, environment.Stamp(now.Add(ttl))
	}
	return []environment.Setting{created, expires}
}

// prepare configures the stack and mends what an interrupted run has left.
func (a *app) prepare(ctx context.Context, e *environment.Environment, more ...environment.Setting) (*environment.ResourceManager, error) {
	if err := a.configure(ctx, e, more...); err != nil {
		return nil, err
	}
	azure, err := environment.Emulator(e.Endpoints)
	if err != nil {
		return nil, err
	}
	return azure, e.Recover(ctx, azure)
}

// configure makes the stack when there is none and writes what leads it to the emulator.
func (a *app) configure(ctx context.Context, e *environment.Environment, more ...environment.Setting) error {
	origin, err := e.Origin(ctx)
	if err != nil {
		return err
	}
	settings := []environment.Setting{
		{Key: "target", Value: "local"},
		{Key: environment.OriginKey, Value: origin},
		{Key: "endpoint", Value: e.Endpoints.Data},
		{Key: "caFile", Value: e.Endpoints.CAFile},
	}
	if u, err := user.Current(); err == nil && u.Username != "" {
		settings = append(settings, environment.Setting{Key: "owner", Value: u.Username, Keep: true})
	}
	authority, err := authoritySettings(e)
	if err != nil {
		return err
	}
	return e.Ensure(ctx, slices.Concat(settings, authority, more)...)
}

func (a *app) printUp(ctx context.Context, e *environment.Environment) error {
	outputs, err := e.Outputs(ctx, false)
	if err != nil {
		return err
	}
	return a.printJSON(struct {
		Stack    string                     `json:"stack"`
		Emulator environment.Endpoints      `json:"emulator"`
		Outputs  map[string]json.RawMessage `json:"outputs"`
	}{e.Stack, e.Endpoints, outputs})
}
