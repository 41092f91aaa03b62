package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"evenkeel/internal/hint"
	"evenkeel/internal/keel/environment"
)

// defaultTTL is the default of extend --ttl.
const defaultTTL = 8 * time.Hour

func newExtend(a *app) *cobra.Command {
	var ttl string
	cmd := &cobra.Command{
		Use:   "extend [NAME]",
		Short: "Extend the lifetime of an environment",
		Long: "Set the end of an environment to --ttl from now, in its configuration and in the tag of its resource " +
			"group. Nothing else\n" +
			"changes, and no program runs: edits in main.go or in the configuration wait for the next up.",
		Example: "  keel extend\n  keel extend mine --ttl 2d",
		Args:    optionalArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			var span time.Duration
			if ttl != "" {
				var err error
				if span, err = environment.ParseTTL(ttl); err != nil {
					return usageError{fmt.Errorf("--ttl: %w", err)}
				}
			}
			if err := a.takeName(args); err != nil {
				return err
			}
			return a.extend(cmd.Context(), span)
		},
	}
	cmd.Flags().StringVar(&ttl, "ttl", "",
		"how long from now: minutes, hours or days, as 90m, 8h, 2d (default: 8h, or the team's maximum when that is "+
			"less)")
	a.addJSON(cmd)
	return cmd
}

func (a *app) extend(ctx context.Context, ttl time.Duration) error {
	e, err := a.existing(ctx)
	if err != nil {
		return err
	}
	most, err := e.Folder.MaxLifetime()
	if err != nil {
		return err
	}
	if ttl == 0 {
		ttl = defaultTTL
		if most > 0 {
			ttl = min(ttl, most)
		}
	}
	if ttl, err = environment.LimitTTL(ttl, most); err != nil {
		return err
	}
	azure, err := a.cloud(ctx, e)
	if err != nil {
		return err
	}
	release, err := e.Claim(ctx)
	if err != nil {
		return err
	}
	defer release()
	until := time.Now().Add(ttl)
	if err := e.Extend(ctx, azure, until); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(extendResult{e.Stack, environment.Stamp(until)})
	}
	fmt.Fprintf(a.stdout, "environment %s expires at %s\n", e.Stack, until.Local().Format(time.DateTime))
	return nil
}

// existing returns the selected environment, and an error if it does not exist.
func (a *app) existing(ctx context.Context) (*environment.Environment, error) {
	outline, err := a.outline(ctx)
	if err != nil {
		return nil, err
	}
	there, err := outline.Exists(ctx)
	if err != nil {
		return nil, err
	}
	if !there {
		return nil, a.absent()
	}
	return a.open(ctx)
}

func (a *app) absent() error {
	what := "environment " + a.stack
	if a.stack == environment.Local {
		what = "the local environment"
	}
	return hint.To(fmt.Errorf("%s is not up", what), "bring it up with: keel up%s; to list environments: keel ls",
		a.stackArgument())
}
