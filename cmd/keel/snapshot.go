package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"evenkeel/internal/hint"
	"evenkeel/internal/keel/background"
	"evenkeel/internal/keel/controlapi"
	"evenkeel/internal/keel/environment"
)

// control returns a client of the running emulator's control port.
func (a *app) control(f environment.Folder) (controlapi.Client, error) {
	record, err := a.process(f).Find()
	if errors.Is(err, background.ErrStopped) {
		return controlapi.Client{}, errNotRunning()
	}
	if err != nil {
		return controlapi.Client{}, err
	}
	endpoints, err := decode(record)
	return controlOf(endpoints), err
}

// controlHere is control for the checkout of the current folder.
func (a *app) controlHere() (controlapi.Client, error) {
	folder, err := a.checkout()
	if err != nil {
		return controlapi.Client{}, err
	}
	return a.control(folder)
}

// affectsAll ends the help of commands that replace the whole state of the emulator.
const affectsAll = "It affects every environment on the emulator, and Pulumi does not know of it: the state of an " +
	"environment may list\n" +
	"resources that no longer exist. Repair it with: keel exec -- pulumi refresh --yes, then keel up."

func newEmulatorReset(a *app) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "reset", Short: "Delete everything in the emulator: hubs, services, enrollments, devices", Args: noArgs,
		Long: "Delete all state of the running emulator, as if it had never been used. Its ports, its certificate " +
			"and the named\n" +
			"snapshots stay. To delete only devices: keel reset.\n\n" + affectsAll,
		Example: "  keel emulator reset --yes\n  keel emulator reset --yes --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !yes {
				return hint.To(usageError{errors.New("emulator reset deletes all state of the emulator")},
					"confirm with --yes")
			}
			client, err := a.controlHere()
			if err != nil {
				return err
			}
			if err := client.Reset(cmd.Context()); err != nil {
				return err
			}
			return a.done("deleted all state of the emulator", emulatorResetResult{true})
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "confirm; without it, keel changes nothing")
	a.addJSON(cmd)
	return cmd
}

// done prints the result of a command without output: a line, or JSON.
func (a *app) done(line string, result any) error {
	if a.json {
		return a.printJSON(result)
	}
	_, err := fmt.Fprintln(a.stdout, line)
	return err
}

func newSnapshot(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "snapshot", Short: "Save the emulator's state under a name, and restore it",
		Long: "A snapshot is a JSON document of the emulator's state, keys included, in an order that makes two of " +
			"them comparable by\n" +
			"diff. Snapshots are in .evenkeel/emulator and are deleted with it.",
		Example: "  keel emulator snapshot save before\n  keel emulator snapshot restore before --yes\n  keel " +
			"emulator snapshot show before > before.json",
	}
	group(cmd)
	cmd.AddCommand(newSnapshotList(a), newSnapshotShow(a), newSnapshotRestore(a),
		a.snapshotVerb("save", "Save the emulator's state; a snapshot of that name is replaced",
			"Save the state of the running emulator under a name: letters, digits, dots, hyphens and underscores. A "+
				"snapshot of that\nname is replaced.",
			"saved", controlapi.Client.SaveSnapshot),
		a.snapshotVerb("delete", "Delete a snapshot", "Delete a snapshot. The emulator's state does not change.",
			"deleted", controlapi.Client.DeleteSnapshot))
	return cmd
}

// snapshotVerb returns a command that calls do with the name of a snapshot.
func (a *app) snapshotVerb(verb, short, long, past string, do func(controlapi.Client, context.Context,
	string) error) *cobra.Command {
	cmd := &cobra.Command{
		Use: verb + " NAME", Short: short, Long: long, Args: oneArg("the name of a snapshot"),
		Example: fmt.Sprintf("  keel emulator snapshot %[1]s before\n  keel emulator snapshot %[1]s after --json",
			verb),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.onSnapshot(cmd.Context(), args[0], past, do)
		},
	}
	a.addJSON(cmd)
	return cmd
}

func (a *app) onSnapshot(ctx context.Context, name, past string, do func(controlapi.Client, context.Context,
	string) error) error {
	client, err := a.controlHere()
	if err != nil {
		return err
	}
	if err := adviseSnapshot(do(client, ctx, name)); err != nil {
		return err
	}
	return a.done(fmt.Sprintf("snapshot %s is %s", name, past), snapshotResult{name, past})
}

func adviseSnapshot(err error) error {
	if errors.Is(err, controlapi.ErrNotFound) {
		return hint.To(err, "list them: keel emulator snapshot list")
	}
	return err
}

func newSnapshotRestore(a *app) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "restore NAME", Short: "Replace the emulator's state with a snapshot",
		Args: oneArg("the name of a snapshot"),
		Long: "Replace the state of the running emulator with a snapshot, in one step.\n\n" +
			affectsAll,
		Example: "  keel emulator snapshot restore before --yes\n  keel emulator snapshot restore before --yes --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			if !yes {
				return hint.To(usageError{errors.New("snapshot restore replaces all state of the emulator")},
					"confirm with --yes")
			}
			return a.onSnapshot(cmd.Context(), args[0], "restored", controlapi.Client.RestoreSnapshot)
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "confirm; without it, keel changes nothing")
	a.addJSON(cmd)
	return cmd
}

func newSnapshotList(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List the snapshots: name, size, when saved", Args: noArgs,
		Long:    "List the named snapshots of the running emulator with their sizes in bytes and when they were saved.",
		Example: "  keel emulator snapshot list\n  keel emulator snapshot list --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := a.controlHere()
			if err != nil {
				return err
			}
			list, err := client.Snapshots(cmd.Context())
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(list)
			}
			if len(list) == 0 {
				a.say("no snapshots; save one with: keel emulator snapshot save NAME")
				return nil
			}
			return table(a.stdout, func(row func(...string)) {
				row("NAME", "BYTES", "SAVED")
				for _, s := range list {
					row(s.Name, strconv.FormatInt(s.Bytes, 10), s.Saved.Local().Format(time.DateTime))
				}
			})
		},
	}
	a.addJSON(cmd)
	return cmd
}

func newSnapshotShow(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "show NAME", Short: "Print a snapshot as JSON, keys included", Args: oneArg("the name of a snapshot"),
		Long: "Print a snapshot as JSON. It contains keys: protect it like a secret. You can compare two snapshots " +
			"with diff, and\n" +
			"start an emulator with one: keel emulator start --seed.",
		Example: "  keel emulator snapshot show before > before.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := a.controlHere()
			if err != nil {
				return err
			}
			text, err := client.Snapshot(cmd.Context(), args[0])
			if err != nil {
				return adviseSnapshot(err)
			}
			_, err = a.stdout.Write(text)
			return err
		},
	}
	a.addJSON(cmd)
	return cmd
}
