package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"evenkeel/dpsdevice"
	"evenkeel/internal/azure/hub"
	"evenkeel/internal/hint"
	"evenkeel/internal/keel/assignment"
	"evenkeel/internal/keel/environment"
	"evenkeel/internal/keel/reprovision"
)

// reprovisionOptions are the flags of `devices reprovision`.
type reprovisionOptions struct {
	dataAccess
	from, group, rate string
	wait, restart     bool
	timeout           time.Duration
}

func newDeviceReprovision(a *app) *cobra.Command {
	var o reprovisionOptions
	cmd := &cobra.Command{
		Use:   "reprovision",
		Short: "Ask devices to register again, and show which of them moved to another hub",
		Long: "Call the direct method reprovision of every device that is assigned to a hub of the environment, or " +
			"of those that --from and\n" +
			"--group select, and show who registered again: who moved, who kept its hub, who answered only, who did " +
			"not answer. Azure\n" +
			"assigns a device again only when the device registers, so the device has to know the method.\n" +
			"Devices whose enrollment keeps them on their hub are not asked. An interrupted run continues where it " +
			"stopped when the same\n" +
			"command runs again. With --wait, keel asks devices that did not answer again, and ends when all devices " +
			"have registered, or\n" +
			"with exit code 1 after --timeout.",
		Example: "  keel devices reprovision --from hub-1\n  keel devices reprovision --from hub-1 --group devices " +
			"--rate 50/s --restart\n  keel devices reprovision --from hub-1 --wait --timeout 30m --json",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("timeout") && !o.wait || o.timeout <= 0 {
				return usageError{errors.New("--timeout is a positive duration, and belongs to --wait")}
			}
			return a.reprovision(cmd.Context(), o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.from, "from", "", "ask only the devices of this hub")
	flags.StringVar(&o.group, "group", "", "ask only the devices of this enrollment group")
	flags.StringVar(&o.rate, "rate", "10/s",
		"how many devices to ask, such as 50/s; Azure takes 1000 registrations a minute, which is 16/s")
	flags.BoolVar(&o.wait, "wait", false, "wait until all devices have registered again")
	flags.DurationVar(&o.timeout, "timeout", 10*time.Minute, "how long --wait waits after the last device was asked")
	flags.BoolVar(&o.restart, "restart", false, "begin a new run instead of continuing an interrupted one")
	a.addDataAccess(cmd, &o.dataAccess)
	a.addJSON(cmd)
	return cmd
}

func (a *app) reprovision(ctx context.Context, o reprovisionOptions) error {
	limit, err := parseRate("--rate", o.rate)
	if err != nil {
		return err
	}
	stack, e, err := o.outputs(ctx, a)
	if err != nil {
		return err
	}
	release, err := e.ClaimReprovision(ctx)
	if err != nil {
		return err
	}
	defer release()
	m := &mover{app: a, options: o, stack: stack, env: e, hubs: map[string]*hub.Client{}}
	defer m.close()
	if err := m.prepare(ctx); err != nil || m.journal == nil {
		return err
	}
	service, err := o.service(stack, e.Endpoints)
	if err != nil {
		return errors.Join(err, m.journal.Close())
	}
	defer service.Close()
	begun, left := time.Now(), len(m.journal.Devices)-len(m.journal.Asked)
	run := reprovision.Run{
		Journal: m.journal, Rate: limit, Ask: m.ask, Wait: o.wait, Timeout: o.timeout,
		Progress: a.progress("devices", left),
		Look: func(ctx context.Context, devices []assignment.Device) (map[string]assignment.Record, error) {
			return assignment.Look(ctx, service, devices)
		},
	}
	results, err := run.Do(ctx)
	if err != nil {
		return m.interrupted(err)
	}
	if err := m.journal.End(); err != nil {
		return err
	}
	return m.finish(results, time.Since(begun))
}

// mover is one run of `devices reprovision`.
type mover struct {
	app     *app
	options reprovisionOptions
	stack   outputs
	env     *environment.Environment
	hubs    map[string]*hub.Client // by host name
	journal *reprovision.Journal
	skipped []reprovision.Skipped
	resumed bool
}

func (m *mover) close() {
	for _, client := range m.hubs {
		client.Close()
	}
}

// prepare opens the hubs and the journal, of an interrupted run or of a new one. The journal is nil if there is nothing
// to do.
func (m *mover) prepare(ctx context.Context) error {
	plan := reprovision.Plan{Service: m.stack.ServiceHost + " " + m.stack.IDScope, Group: m.options.group}
	if m.options.from != "" {
		from, err := m.stack.findHub(m.options.from)
		if err != nil {
			return err
		}
		plan.From = hostKey(from.HostName)
	}
	for _, h := range m.stack.Hubs {
		client, err := m.stack.hub(m.env.Endpoints, h.HostName)
		if err != nil {
			return err
		}
		m.hubs[hostKey(h.HostName)] = client
	}
	name := m.env.Folder.Reprovision(m.env.Stack)
	if m.options.restart {
		if err := reprovision.Discard(name); err != nil {
			return err
		}
	}
	var err error
	m.journal, err = reprovision.Resume(name, plan)
	if errors.Is(err, reprovision.ErrOther) {
		return hint.To(fmt.Errorf("ask devices to register again: %w", err),
			"repeat its command to continue it, or begin this one with --restart")
	}
	if err != nil {
		return err
	}
	census, err := m.census(ctx, plan)
	if err != nil {
		return closing(m.journal, err)
	}
	devices, skipped := reprovision.Sort(census)
	m.skipped = skipped
	m.nameSkipped()
	if m.journal != nil {
		m.resumed = true
		m.app.say("continuing the run of %s: %d of %d devices have been asked",
			m.journal.Begun.Local().Format(time.DateTime), len(m.journal.Asked), len(m.journal.Devices))
		return nil
	}
	if len(devices) == 0 {
		return m.finish(nil, 0)
	}
	m.warnOfAcceptingHub()
	m.app.say("asking %d devices to register again, at %s", len(devices), m.options.rate)
	m.journal, err = reprovision.Begin(name, plan, rand.Text(), devices, time.Now())
	return err
}

// closing closes a journal, if there is one, after an error.
func closing(j *reprovision.Journal, err error) error {
	if j == nil {
		return err
	}
	return errors.Join(err, j.Close())
}

// census reads the devices that the options select. Hubs that are not of this environment are left out.
func (m *mover) census(ctx context.Context, plan reprovision.Plan) (assignment.Census, error) {
	service, err := m.options.service(m.stack, m.env.Endpoints)
	if err != nil {
		return assignment.Census{}, err
	}
	defer service.Close()
	census, err := readCensus(ctx, service, assignment.Select{
		Group: plan.Group, Progress: m.app.readProgress(),
		Device: func(d assignment.Device) bool {
			return m.hubs[d.Hub] != nil && (plan.From == "" || plan.From == d.Hub)
		},
	})
	if errors.Is(err, assignment.ErrNoGroup) {
		return census, hint.To(usageError{err}, "list devices with their groups: keel devices status")
	}
	return census, err
}

// nameSkipped names the enrollments whose devices are not asked, before any device is.
func (m *mover) nameSkipped() {
	for _, s := range m.skipped {
		m.app.say("not asking %s of %s: %s", plural(s.Devices, "device"), s.Key, s.Obstacle)
	}
}

// warnOfAcceptingHub warns that a hub which still accepts devices will keep many of its own.
func (m *mover) warnOfAcceptingHub() {
	if m.options.from == "" {
		return
	}
	if h, err := m.stack.findHub(m.options.from); err == nil && !h.Drain {
		m.app.say("note: %s accepts devices, so many of its devices will keep it; to move all, first: "+
			"keel hub drain %[1]s --up%s", h.Name, m.app.stackFlag())
	}
}

// ask calls the method of a device.
func (m *mover) ask(ctx context.Context, d assignment.Device) reprovision.Answer {
	client := m.hubs[d.Hub]
	if client == nil {
		return reprovision.Answer{Kind: reprovision.Failed, Reason: "its hub is not of this environment"}
	}
	answer, err := client.Invoke(ctx, cmp.Or(d.DeviceID, d.ID), hub.Method{
		Name: dpsdevice.ReprovisionMethod, Payload: dpsdevice.ReprovisionRequest{Run: m.journal.Run},
		Respond: answerPatience,
	})
	switch {
	case errors.Is(err, hub.ErrOffline):
		return reprovision.Answer{Kind: reprovision.Offline}
	case errors.Is(err, hub.ErrNoAnswer):
		return reprovision.Answer{Kind: reprovision.Silent}
	case errors.Is(err, hub.ErrNotFound):
		return reprovision.Answer{Kind: reprovision.Unknown}
	case err != nil:
		return reprovision.Answer{Kind: reprovision.Failed, Reason: err.Error()}
	case answer.Status/100 != 2:
		return reprovision.Answer{Kind: reprovision.Refused, Reason: fmt.Sprintf("status %d", answer.Status)}
	}
	return reprovision.Answer{Kind: reprovision.Answered}
}

// interrupted keeps the journal and says how to continue.
func (m *mover) interrupted(err error) error {
	asked := len(m.journal.Asked)
	err = errors.Join(err, m.journal.Close())
	words := []string{"keel devices reprovision"}
	for _, flag := range [][2]string{{"--from", m.options.from}, {"--group", m.options.group}} {
		if flag[1] != "" {
			words = append(words, flag[0], quote(flag[1]))
		}
	}
	return hint.To(fmt.Errorf("ask devices to register again: %w; %d of %d have been asked", err, asked,
		len(m.journal.Devices)), "continue with: %s", strings.Join(words, " ")+m.app.stackFlag())
}

// plural returns a number with its noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
