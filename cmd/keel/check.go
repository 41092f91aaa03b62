package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"evenkeel/dpsdevice"
	"evenkeel/internal/keel/errorcodes"
)

// cause is a code with which devices failed.
type cause struct {
	code    int // of the service or the hub, or the status where MQTT has no code; 0 for other errors
	text    string
	devices []string
}

// stray is a device on a hub that should not get it.
type stray struct{ device, hub string }

// blame records why a device failed. The caller holds the lock.
func (f *fleet) blame(id string, err error) {
	code := 0
	if refusal := (*dpsdevice.Error)(nil); errors.As(err, &refusal) {
		code = cmp.Or(refusal.Code, refusal.Status)
	}
	at := slices.IndexFunc(f.causes, func(c cause) bool { return c.code == code })
	if at < 0 {
		at = len(f.causes)
		f.causes = append(f.causes, cause{code: code, text: err.Error()})
	}
	f.causes[at].devices = append(f.causes[at].devices, id)
}

// firstCode returns the first code with which a device failed, or 0.
func (f *fleet) firstCode() int {
	for _, c := range f.causes {
		if c.code != 0 {
			return c.code
		}
	}
	return 0
}

// look is notice for callers without the lock.
func (f *fleet) look(r rule, id, hub string, kept bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.notice(r, id, hub, kept)
}

// notice records a device on a hub that should not get it. The caller holds the lock.
func (f *fleet) notice(r rule, id, hub string, kept bool) {
	if r.isStray(f.stack.Hubs, hub, kept) {
		f.strays = append(f.strays, stray{id, f.hubName(hub)})
	}
}

// checkResult is the result of --check.
type checkResult struct {
	Passed   bool      `json:"passed"`
	Problems []problem `json:"problems"`
}

// problem is a condition of the check that does not hold.
type problem struct {
	Problem string `json:"problem"`
	// Devices are the first devices that have it.
	Devices      []string      `json:"devices,omitempty"`
	Explanations []explanation `json:"explanations"`
}

// explanation is what may have caused a problem, and what to do.
type explanation struct {
	// Code is an error code that keel doctor knows, and Source the service that it is about; 0 and empty for none.
	Code   int    `json:"code,omitempty"`
	Source string `json:"source,omitempty"`
	Cause  string `json:"cause"`
	Remedy string `json:"remedy"`
}

// examine finds what the check complains about.
func (f *fleet) examine(compared comparison) *checkResult {
	result := checkResult{Problems: []problem{}}
	for _, c := range f.causes {
		result.add(problem{
			Problem: fmt.Sprintf("%s not assigned and connected: %s", numbered(len(c.devices)), c.title()),
			Devices: firstOf(c.devices), Explanations: c.explain(),
		})
	}
	hubs := map[string][]string{}
	for _, s := range f.strays {
		hubs[s.hub] = append(hubs[s.hub], s.device)
	}
	for _, hub := range slices.Sorted(maps.Keys(hubs)) {
		result.add(problem{
			Problem:      fmt.Sprintf("%s on %s, which should get none", numbered(len(hubs[hub])), hub),
			Devices:      firstOf(hubs[hub]),
			Explanations: []explanation{f.whyOn(hub)},
		})
	}
	for _, name := range compared.proof.Outside {
		i := slices.IndexFunc(f.stack.Hubs, func(h hubOut) bool { return h.Name == name })
		h := compared.hubs[i] // only the stack's hubs have an expected share
		result.add(problem{
			Problem: fmt.Sprintf("%s has %d of %d devices, and all but one of a million fair splits give it %d to %d",
				name, h.Devices, compared.proof.Judged, h.AlarmLow, h.AlarmHigh),
			Explanations: []explanation{{
				Cause: "The provisioning service does not distribute by the weights of the stack: links have been " +
					"changed outside it, devices kept their hubs from a time with other hubs or weights, or another " +
					"allocation policy applies.",
				Remedy: "Show what differs with `keel exec -- pulumi refresh --diff`, apply the stack with " +
					"`keel up`, and register the devices again.",
			}},
		})
	}
	result.Passed = len(result.Problems) == 0
	return &result
}

// err returns the error of a command whose check did not pass. It returns nil if the check passed or was not made.
func (c *checkResult) err() error {
	if c == nil || c.Passed {
		return nil
	}
	if len(c.Problems) == 1 {
		return errors.New("check the devices: found 1 problem")
	}
	return fmt.Errorf("check the devices: found %d problems", len(c.Problems))
}

func (c *checkResult) add(p problem) { c.Problems = append(c.Problems, p) }

// title names the failure of a cause.
func (c cause) title() string {
	if c.code == 0 {
		return c.text
	}
	return "code " + strconv.Itoa(c.code)
}

// explain returns what keel doctor says about the code.
func (c cause) explain() []explanation {
	all := explanationsOf(c.code, errorcodes.Service, errorcodes.Hub, errorcodes.Both)
	if len(all) == 0 {
		all = append(all, explanation{Cause: "The first error is: " + strings.TrimSuffix(c.text, ".") + ".",
			Remedy: "Look for what this machine lacks with `keel doctor`, and at the emulator's log with " +
				"`keel emulator logs`."})
	}
	return all
}

// whyOn explains how a device can be on a hub that should not get it.
func (f *fleet) whyOn(hub string) explanation {
	at := slices.IndexFunc(f.stack.Hubs, func(h hubOut) bool { return h.Name == hub })
	switch {
	case at < 0:
		return explanation{
			Cause: "The provisioning service links a hub that is not in the stack.",
			Remedy: "Show what differs with `keel exec -- pulumi refresh --diff`; if the hub belongs to another " +
				"stack, set `shared`, so that each stack's devices get its own hubs.",
		}
	case f.stack.Hubs[at].Drain:
		return explanation{
			Cause: "The hub is drained, but the provisioning service still assigns devices to it: the setting has " +
				"not been applied, or the enrollment names the hub.",
			Remedy: "Apply the setting with `keel up`, and register the devices again.",
		}
	}
	return explanation{
		Cause:  "The enrollment of these devices names other hubs, and the service did not keep to them.",
		Remedy: "Compare the enrollment with the stack: `keel exec -- pulumi refresh --diff`, then `keel up`.",
	}
}

// print prints the result as doctor prints explanations. A nil result prints nothing.
func (c *checkResult) print(w io.Writer) error {
	if c == nil {
		return nil
	}
	if c.Passed {
		_, err := fmt.Fprintln(w, "check: passed")
		return err
	}
	var text strings.Builder
	for _, p := range c.Problems {
		fmt.Fprintf(&text, "check: %s\n", p.Problem)
		if len(p.Devices) > 0 {
			fmt.Fprintf(&text, "  devices: %s\n", strings.Join(p.Devices, ", "))
		}
		for _, e := range p.Explanations {
			if len(p.Explanations) > 1 {
				fmt.Fprintf(&text, "  from:    %s\n", e.Source)
			}
			fmt.Fprintf(&text, "  cause:   %s\n  remedy:  %s\n", e.Cause, e.Remedy)
		}
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// numbered returns "1 device is" or "3 devices are".
func numbered(devices int) string {
	if devices == 1 {
		return "1 device is"
	}
	return strconv.Itoa(devices) + " devices are"
}

// explanationsOf returns what keel doctor says about a code of these services; none for 0.
func explanationsOf(code int, sources ...errorcodes.Source) []explanation {
	var all []explanation
	if code == 0 {
		return nil
	}
	for _, e := range errorcodes.Find(strconv.Itoa(code)) {
		if slices.Contains(sources, e.Source) {
			all = append(all, explanation{e.Code, string(e.Source), e.Cause, e.Remedy})
		}
	}
	return all
}

// firstOf returns up to maxFailures names, with a last one that counts the others.
func firstOf(names []string) []string {
	names = slices.Sorted(slices.Values(names))
	if len(names) <= maxFailures {
		return names
	}
	return append(names[:maxFailures], fmt.Sprintf("and %d more", len(names)-maxFailures))
}
