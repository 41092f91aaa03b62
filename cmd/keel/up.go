package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"evenkeel/internal/keel/environment"
)

// upOptions are the flags of up.
type upOptions struct {
	ttl     time.Duration
	hubs    int    // 0: as configured
	from    string // the environment whose settings are copied
	outputs string // a file for the outputs
	ci      bool
	check   bool // register throw-away devices after the update
	devices int  // how many
}

// maxHubs is how many hubs one environment may have.
const maxHubs = 50

func newUp(a *app) *cobra.Command {
	var o upOptions
	var ttl string
	cmd := &cobra.Command{
		Use:   "up [NAME]",
		Short: "Bring an environment up: build, start the emulator, pulumi up",
		Long: "Build what is missing, start the emulator, create the environment's stack and update it with Pulumi, " +
			"without asking: it\n" +
			"costs nothing. keel first repairs what an interrupted run left. A second run changes nothing.\n\n" +
			"Without a name, the environment is local if that exists, as after make up, and otherwise named after " +
			"you. --ttl gives it\n" +
			"a lifetime, which a later --ttl does not change: use keel extend. --from copies the settings of another " +
			"environment to a\n" +
			"new one, without secrets, names of hubs, owner and lifetime. With --ci it is named after the pull " +
			"request that is being\n" +
			"built, as pr-12, and its outputs are written for the steps that follow (GITHUB_OUTPUT), secrets masked." +
			"\n\n" + checkHelp,
		Example: "  keel up\n  keel up mine --ttl 8h --hubs 3\n  keel up yours --from mine\n  keel up --ci --ttl 2d " +
			"--outputs outputs.json\n  keel up --check\n  keel up --json",
		Args: optionalArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.takeNameInCI(args, o.ci); err != nil {
				return err
			}
			if ttl != "" {
				var err error
				if o.ttl, err = environment.ParseTTL(ttl); err != nil {
					return usageError{fmt.Errorf("--ttl: %w", err)}
				}
			}
			if cmd.Flags().Changed("hubs") && (o.hubs < 1 || o.hubs > maxHubs) {
				return usageError{fmt.Errorf("--hubs %d: an environment has 1 to %d", o.hubs, maxHubs)}
			}
			if o.devices < 1 || o.devices > maxChecked {
				return usageError{fmt.Errorf("--check-devices %d: use 1 to %d", o.devices, maxChecked)}
			}
			if o.from != "" {
				if err := checkName(o.from); err != nil {
					return err
				}
			}
			return a.up(cmd.Context(), o)
		},
	}
	cmd.Flags().StringVar(&ttl, "ttl", "", "lifetime in minutes, hours or days, as 90m, 8h, 2d (default: no end)")
	cmd.Flags().IntVar(&o.hubs, "hubs", 0,
		"number of hubs; written to its settings (default: as set there, 2 at first)")
	cmd.Flags().StringVar(&o.from, "from", "", "copy the settings of this environment; for a new one only")
	cmd.Flags().StringVar(&o.outputs, "outputs", "", "write the outputs to this file as JSON, secrets masked")
	addCI(cmd, &o.ci)
	cmd.Flags().BoolVar(&o.check, "check", false, "register devices after the update, compare their split, remove them")
	cmd.Flags().IntVar(&o.devices, "check-devices", checkedDevices, "how many devices the check registers")
	a.addYes(cmd)
	a.addJSON(cmd)
	return cmd
}

// checkHelp ends the help of `up`.
const checkHelp = "--check registers throw-away devices of the enrollment group after the update, compares their " +
	"split as\n" +
	"`keel devices provision --check` does, and removes their registrations and their identities at the hubs again, " +
	"also after a\n" +
	"failure or an interruption."

func (a *app) up(ctx context.Context, o upOptions) error {
	e, check, err := a.bringUp(ctx, o)
	if check == nil && err != nil {
		return err
	}
	if a.json {
		return cmp.Or(a.printUp(ctx, e, check), errors.Join(check.failure(), err))
	}
	if check != nil {
		return cmp.Or(a.printCheck(*check), errors.Join(check.failure(), err))
	}
	a.say("\nTry next: keel devices provision%s   (keel is .evenkeel/bin/keel, or: go run ./cmd/keel)", a.stackFlag())
	return nil
}

// bringUp prepares the environment, runs pulumi up, and checks the result if that is asked for, while it holds the
// environment's claim. check is nil without a result of the check.
func (a *app) bringUp(ctx context.Context, o upOptions) (e *environment.Environment, check *provisionResult,
	err error) {
	done, err := a.useEmulator(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer done()
	if e, err = a.open(ctx); err != nil {
		return nil, nil, err
	}
	release, err := e.Claim(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer release()
	azure, err := a.prepareUp(ctx, e, o)
	if err != nil {
		return nil, nil, err
	}
	if a.json {
		e.Stdout = a.stderr // only the result goes to stdout
	}
	args, err := upArgs(e)
	if err != nil {
		return nil, nil, err
	}
	if err := e.Operate(ctx, azure, args...); err != nil {
		return nil, nil, err
	}
	if err := a.removeLeftovers(ctx, e); err != nil {
		if o.check { // its note would replace that of the devices that are left
			return nil, nil, err
		}
		a.showError(err)
	}
	if err := a.writeOutputs(ctx, e, o.outputs, o.ci); err != nil || !o.check {
		return e, nil, err
	}
	check, err = a.checkUp(ctx, e, o.devices)
	return e, check, err
}

// printCheck prints the result of the check of up.
func (a *app) printCheck(r provisionResult) error {
	fmt.Fprintf(a.stdout, "%d devices of %s, %s, in %.1f s for the check\n", r.Devices, groupsOf(r.Groups),
		policiesOf(r.Groups), r.Seconds)
	if err := r.printSplit(a.stdout); err != nil {
		return err
	}
	a.sayFailures(r)
	return r.Check.print(a.stdout)
}

// failure is the error of a check that did not pass.
func (r *provisionResult) failure() error {
	if r == nil {
		return nil
	}
	return r.Check.err()
}

// prepareUp creates and configures the stack, and runs the checks that come before pulumi up.
func (a *app) prepareUp(ctx context.Context, e *environment.Environment, o upOptions) (*environment.ResourceManager,
	error) {
	most, err := e.Folder.MaxLifetime()
	if err != nil {
		return nil, err
	}
	ttl, err := environment.LimitTTL(o.ttl, most)
	if err != nil {
		return nil, err
	}
	if o.from != "" {
		left, err := e.Inherit(ctx, o.from)
		if err != nil {
			return nil, err
		}
		if len(left) > 0 {
			a.say("not copied from %s, because they are secrets or names: %s", o.from, strings.Join(left, ", "))
		}
	}
	settings := lifetime(time.Now(), ttl)
	if o.hubs > 0 {
		settings = append(settings, environment.Setting{Key: "hubs", Value: strconv.Itoa(o.hubs)})
	}
	if err := e.RefusePrivateKeys(); err != nil {
		return nil, err
	}
	azure, err := a.prepare(ctx, e, settings...)
	if err != nil {
		return nil, err
	}
	if err := e.Confirm(ctx, azure); err != nil {
		return nil, err
	}
	if err := e.CheckQuota(ctx, azure); err != nil {
		return nil, err
	}
	if err := e.CheckNames(ctx, azure); err != nil {
		return nil, err
	}
	return azure, a.warn(e)
}

// lifetime returns the lifetime settings of an environment that is created now; an existing one keeps its own. ttl 0
// means no end.
func lifetime(now time.Time, ttl time.Duration) []environment.Setting {
	created := environment.Setting{Key: environment.CreatedKey, Value: environment.Stamp(now), OnlyNew: true}
	expires := environment.Setting{Key: environment.ExpiresKey, OnlyNew: true}
	if ttl > 0 {
		created.Keep = true
		expires.Keep, expires.Value = true, environment.Stamp(now.Add(ttl))
	}
	return []environment.Setting{created, expires}
}

// prepare configures the stack and recovers from an interrupted run.
func (a *app) prepare(ctx context.Context, e *environment.Environment,
	more ...environment.Setting) (*environment.ResourceManager, error) {
	if err := a.configure(ctx, e, more...); err != nil {
		return nil, err
	}
	azure, err := a.cloud(ctx, e)
	if err != nil {
		return nil, err
	}
	return azure, e.Recover(ctx, azure)
}

// configure creates the stack if it does not exist and writes the settings of its target.
func (a *app) configure(ctx context.Context, e *environment.Environment, more ...environment.Setting) error {
	origin, err := e.Origin(ctx)
	if err != nil {
		return err
	}
	settings := []environment.Setting{{Key: "target", Value: cmp.Or(e.Target, environment.Local)},
		{Key: environment.OriginKey, Value: origin}}
	if e.Target != environment.Azure {
		settings = append(settings, environment.Setting{Key: "endpoint", Value: e.Endpoints.Data},
			environment.Setting{Key: "caFile", Value: e.Endpoints.CAFile}, environment.Setting{Key: "secretFile",
				Value: e.Endpoints.SecretFile})
	}
	settings = append(settings, environment.Setting{Key: "owner", Value: a.userName(), Keep: true})
	authority, err := authoritySettings(e)
	if err != nil {
		return err
	}
	login, err := loginSettings(e)
	if err != nil {
		return err
	}
	return e.Ensure(ctx, slices.Concat(settings, authority, login, more)...)
}

func (a *app) printUp(ctx context.Context, e *environment.Environment, check *provisionResult) error {
	outputs, err := e.Outputs(ctx, false)
	if err != nil {
		return err
	}
	return a.printJSON(upResult{e.Stack, e.Endpoints, outputs, check})
}
