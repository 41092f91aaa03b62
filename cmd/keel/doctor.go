package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"evenkeel/internal/hint"
	"evenkeel/internal/keel/errorcodes"
)

func newDoctor(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor [CODE]",
		Short: "Find problems of this machine, or explain an error code",
		Long: "Check what a run needs: Go, Pulumi, the built programs, plugins, backend, passphrase, emulator, " +
			"ports, certificate and clock; for\n" +
			"an environment on Azure, or with --target azure, also the login, the subscription and its registration " +
			"for IoT hubs.\n" +
			"Of the environment's provisioning service and hubs, read with the newest api-version, it checks that " +
			"they accept keys,\n" +
			"and that the next update resets nothing that the program's api-versions do not have.\n" +
			"It builds, starts and changes nothing. The exit code is 1 when a check fails; what does not exist yet " +
			"is only a note.\n\n" +
			"With an error code of the provisioning service or of a hub, as a number or a name, explain its cause " +
			"and remedy.",
		Example: "  keel doctor\n  keel doctor 401002\n  keel doctor DeviceNotFound\n  keel doctor --json",
		Args:    optionalArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return a.explain(args[0])
			}
			return a.doctor(cmd.Context())
		},
	}
	a.addJSON(cmd)
	return cmd
}

// explain prints the entries for an error code.
func (a *app) explain(text string) error {
	found := errorcodes.Find(text)
	if len(found) == 0 {
		return hint.To(fmt.Errorf("unknown error code %q", text),
			"use a code of six digits, such as 401002, or its first three digits, the HTTP status: keel doctor 401")
	}
	if a.json {
		return a.printJSON(found)
	}
	for i, e := range found {
		if i > 0 {
			fmt.Fprintln(a.stdout)
		}
		title := strconv.Itoa(e.Code)
		if e.Name != "" {
			title += " " + e.Name
		}
		fmt.Fprintf(a.stdout, "%s, from %s\n  cause:  %s\n  remedy: %s\n", title, e.Source, e.Cause, e.Remedy)
		if e.EmulatorOnly {
			fmt.Fprintln(a.stdout, "  note:   only the emulator uses this number; Azure's is not public.")
		}
	}
	return nil
}

// verdict is the result of a check.
type verdict string

const (
	fine   verdict = "ok"
	note   verdict = "note" // not an error: it does not exist yet
	failed verdict = "failed"
)

// finding is the result of one check.
type finding struct {
	Check   string  `json:"check"`
	Verdict verdict `json:"verdict"`
	Detail  string  `json:"detail"`
	Hint    string  `json:"hint,omitempty"`
}

func ok(format string, args ...any) finding {
	return finding{Verdict: fine, Detail: fmt.Sprintf(format, args...)}
}

func noteFinding(advice, format string, args ...any) finding {
	return finding{Verdict: note, Detail: fmt.Sprintf(format, args...), Hint: advice}
}

// failedFinding returns the finding for an error, with the error's own hint or else advice.
func failedFinding(err error, advice string) finding {
	if own := hint.Of(err); own != "" {
		advice = own
	}
	return finding{Verdict: failed, Detail: strings.ReplaceAll(err.Error(), "\n", " "), Hint: advice}
}

// one makes a check of one finding one of several.
func one(check func(context.Context) finding) func(context.Context) []finding {
	return func(ctx context.Context) []finding { return []finding{check(ctx)} }
}

func (a *app) doctor(ctx context.Context) error {
	d, err := a.newDiagnosis()
	if err != nil {
		return err
	}
	var findings []finding
	bad := 0
	for _, check := range []struct {
		name string
		run  func(context.Context) []finding
	}{
		{"go", one(d.checkGo)}, {"pulumi", one(d.pulumi)}, {"programs", one(d.programs)}, {"plugins", one(d.plugins)},
		{"backend", one(d.backend)}, {"passphrase", one(d.passphrase)},
		{"emulator", one(d.emulator)}, {"ports", one(d.ports)}, {"certificate", one(d.certificate)},
		{"login", one(d.login)}, {"subscription", one(d.subscription)}, {"registration", one(d.registration)},
		{"clock", one(d.clock)}, {"keys", d.keys}, {"updates", d.updates},
	} {
		for _, f := range check.run(ctx) {
			f.Check = check.name
			if f.Verdict == failed {
				bad++
			}
			findings = append(findings, f)
		}
	}
	if a.json {
		err = a.printJSON(doctorResult{bad == 0, findings})
	} else {
		err = a.printFindings(findings)
	}
	if err == nil && bad > 0 {
		err = fmt.Errorf("%d of %d checks failed", bad, len(findings))
	}
	return err
}

func (a *app) printFindings(findings []finding) error {
	return table(a.stdout, func(row func(...string)) {
		for _, f := range findings {
			row(string(f.Verdict), f.Check, f.Detail)
			if f.Hint != "" {
				row("", "", "hint: "+f.Hint)
			}
		}
	})
}
