package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"evenkeel/dpsservice"
	"evenkeel/internal/hint"
	"evenkeel/internal/keel/environment"
)

const (
	// maxPage is the largest page that the provisioning service returns; Azure's own limit is not public.
	maxPage = 1000
	// listed is how many devices a page of `devices list` has unless told otherwise.
	listed = 100
	// listParallel is how many registrations are read at a time.
	listParallel = 16
)

// statuses are the values of --status, and the status of a registration that each selects.
var statuses = map[string]string{
	"assigned": "assigned", "assigning": "assigning", "disabled": "disabled", "failed": "failed",
	"unassigned": "unassigned", "unregistered": unregistered,
}

// listOptions are the flags of `devices list`.
type listOptions struct {
	hub, group, status string
	limit              int
	from               string // a continuation
	rateLimit          int
}

func newDeviceList(a *app) *cobra.Command {
	var o listOptions
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List devices by hub, group and status, page by page",
		Long: "List the devices that have registered or have an individual enrollment, with their status and hub, " +
			"and the code of their\n" +
			"last error. Each call prints one page and the command for the next one. Azure cannot filter: keel reads " +
			"until the page is\n" +
			"full, one request for up to 1,000 devices of a group and one for each individual enrollment, and prints " +
			"how many it sent.",
		Example: "  keel devices list\n  keel devices list --hub hub-1 --group devices --limit 20\n" +
			"  keel devices list --status failed --json",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.limit < 1 || o.limit > 100_000 || o.rateLimit < 0 {
				return usageError{errors.New("--limit must be 1 to 100000, and --rate-limit 0 or more")}
			}
			stack, e, err := a.outputs(cmd.Context())
			if err != nil {
				return err
			}
			result, err := stack.list(cmd.Context(), e.Endpoints, o)
			if err != nil {
				return err
			}
			return a.printList(result, o)
		},
	}
	cmd.Flags().StringVar(&o.hub, "hub", "", "only devices assigned to this hub, by its name here or its host name")
	cmd.Flags().StringVar(&o.group, "group", "", "only devices of this enrollment group")
	cmd.Flags().StringVar(&o.status, "status", "",
		"only devices with this status: assigned, assigning, disabled, failed, unassigned or unregistered")
	cmd.Flags().IntVar(&o.limit, "limit", listed, "how many devices a page has")
	cmd.Flags().StringVar(&o.from, "continue", "", "where to continue, as the page before printed it")
	addRateLimit(cmd, &o.rateLimit)
	a.addJSON(cmd)
	return cmd
}

// listResult is what `devices list` prints.
type listResult struct {
	Devices []deviceState `json:"devices"`
	// Continue is the value of --continue for the next page; absent after the last one.
	Continue string `json:"continue,omitempty"`
	Calls    calls  `json:"calls"`
}

// position is where a page begins: in a collection, at a page of the service, after some of its entries.
type position struct {
	// Group is the enrollment group; empty for the individual enrollments, which come first.
	Group string `json:"group,omitempty"`
	// After is the service's continuation, Skip how many entries of that page have been listed, and Size the page's
	// size if some have.
	After string `json:"after,omitempty"`
	Skip  int    `json:"skip,omitempty"`
	Size  int    `json:"size,omitempty"`
}

func (p position) String() string {
	text, _ := json.Marshal(p) // strings and numbers always encode
	return base64.RawURLEncoding.EncodeToString(text)
}

func parsePosition(text string) (p position, err error) {
	if text == "" {
		return p, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(raw, &p)
	}
	if err != nil || p.Skip < 0 || p.Size < 0 || p.Size > maxPage {
		return p, hint.To(usageError{errors.New("--continue is not what keel devices list printed")},
			"begin with the first page: keel devices list")
	}
	return p, nil
}

// filter returns the function that selects devices.
func (o outputs) filter(l listOptions) (func(deviceState) bool, error) {
	host := ""
	if l.hub != "" {
		var names []string
		for _, h := range o.Hubs {
			names = append(names, h.Name)
			if h.Name == l.hub {
				host = h.HostName
			}
		}
		if host == "" && strings.Contains(l.hub, ".") {
			host = l.hub
		}
		if host == "" {
			return nil, hint.To(usageError{fmt.Errorf("--hub %q: no such hub in this environment", l.hub)},
				"use one of %s, or a host name", strings.Join(names, ", "))
		}
	}
	status, known := statuses[strings.ToLower(l.status)]
	if l.status != "" && !known {
		return nil, hint.To(usageError{fmt.Errorf("--status %q: unknown status", l.status)},
			"use assigned, assigning, disabled, failed, unassigned or unregistered")
	}
	return func(d deviceState) bool {
		return (host == "" || hostKey(d.Hub) == hostKey(host)) && (status == "" || strings.EqualFold(d.Status, status))
	}, nil
}

// list reads devices until a page is full.
func (o outputs) list(ctx context.Context, e environment.Endpoints, l listOptions) (listResult, error) {
	selects, err := o.filter(l)
	if err != nil {
		return listResult{}, err
	}
	at, err := parsePosition(l.from)
	if err != nil {
		return listResult{}, err
	}
	o.rateLimit = l.rateLimit
	s, err := o.newSearch(e)
	if err != nil {
		return listResult{}, fmt.Errorf("list devices: %w", err)
	}
	defer s.close()
	result := listResult{Devices: []deviceState{}}
	sections, err := s.sections(ctx, l.group, at)
	for i := 0; err == nil && i < len(sections); i++ {
		var next *position
		if next, err = s.fill(ctx, &result, sections[i], l.limit, selects); err == nil && next == nil &&
			len(result.Devices) == l.limit && i+1 < len(sections) {
			next = &sections[i+1]
		}
		if next != nil {
			result.Continue = next.String()
			break
		}
	}
	if err != nil {
		return listResult{}, fmt.Errorf("list devices: %w", err)
	}
	result.Calls = s.calls()
	return result, nil
}

// sections returns the collections to read, in order, and where each begins.
func (s *search) sections(ctx context.Context, group string, from position) ([]position, error) {
	if group != "" {
		if from.Group != "" && from.Group != group {
			return nil, usageError{fmt.Errorf("--continue belongs to group %q", from.Group)}
		}
		from.Group = group
		return []position{from}, nil
	}
	ids, err := s.groups(ctx)
	if err != nil {
		return nil, err
	}
	sections := []position{{}} // the individual enrollments
	for _, id := range ids {
		sections = append(sections, position{Group: id})
	}
	begin := slices.IndexFunc(sections, func(p position) bool { return p.Group == from.Group })
	if begin < 0 {
		return nil, hint.To(fmt.Errorf("continue in enrollment group %q: it does not exist any more", from.Group),
			"begin with the first page: keel devices list")
	}
	sections[begin] = from
	return sections[begin:], nil
}

// fill adds devices of a section until there are limit, and returns where to continue in it; nil at its end.
func (s *search) fill(ctx context.Context, result *listResult, at position, limit int,
	selects func(deviceState) bool) (*position, error) {
	for {
		if at.Size == 0 { // each individual enrollment costs a request, so their pages are small
			if at.Size = maxPage; at.Group == "" {
				at.Size = min(limit, listed)
			}
		}
		devices, next, err := s.page(ctx, at)
		if err != nil {
			return nil, err
		}
		for i, d := range devices {
			if i < at.Skip || !selects(d) {
				continue
			}
			if len(result.Devices) == limit {
				return &position{at.Group, at.After, i, at.Size}, nil
			}
			result.Devices = append(result.Devices, d)
		}
		if next == "" {
			return nil, nil
		}
		if at = (position{Group: at.Group, After: next}); len(result.Devices) == limit {
			return &at, nil
		}
	}
}

// page reads one page of a collection.
func (s *search) page(ctx context.Context, at position) (devices []deviceState, next string, err error) {
	if at.Group == "" {
		return s.individuals(ctx, at)
	}
	records, next, err := s.service.RegistrationsPage(ctx, at.Group, at.Size, at.After)
	for _, r := range records {
		devices = append(devices, newState(r.RegistrationID, at.Group, r))
	}
	return devices, next, err
}

// individuals reads a page of individual enrollments, and the registration of each, which queries leave out.
func (s *search) individuals(ctx context.Context, at position) ([]deviceState, string, error) {
	entries, next, err := s.service.Individuals().Page(ctx, "SELECT *", at.Size, at.After)
	if err != nil {
		return nil, "", err
	}
	devices := make([]deviceState, len(entries))
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(listParallel)
	for i, entry := range entries {
		if i < at.Skip { // listed before
			continue
		}
		work.Go(func() error {
			record, err := s.service.Registration(ctx, entry.ID)
			if err != nil && !errors.Is(err, dpsservice.ErrNotFound) {
				return fmt.Errorf("look for the registration of %q: %w", entry.ID, err)
			}
			devices[i] = newState(entry.ID, individual, record)
			return nil
		})
	}
	return devices, next, work.Wait()
}

// printList prints a page.
func (a *app) printList(result listResult, o listOptions) error {
	if a.json {
		return a.printJSON(result)
	}
	if len(result.Devices) == 0 {
		a.say("no such device")
	} else if err := table(a.stdout, func(row func(...string)) {
		row("DEVICE", "ENROLLMENT", "STATUS", "HUB", "UPDATED", "ERROR")
		for _, d := range result.Devices {
			code := ""
			if d.ErrorCode != 0 {
				code = fmt.Sprint(d.ErrorCode)
			}
			row(d.Device, d.Enrollment, d.Status, d.Hub, d.Updated, code)
		}
	}); err != nil {
		return err
	}
	a.say("%s", result.Calls)
	if result.Continue != "" {
		a.say("next page: keel devices list%s%s --continue %s", a.stackFlag(), o.flags(), result.Continue)
	}
	return nil
}

// flags returns the flags that a suggested command needs to go on with the same list.
func (o listOptions) flags() string {
	flags := ""
	for _, flag := range [][2]string{{"hub", o.hub}, {"group", o.group}, {"status", o.status}} {
		if flag[1] != "" {
			flags += " --" + flag[0] + " " + quote(flag[1])
		}
	}
	if o.limit != listed {
		flags += fmt.Sprintf(" --limit %d", o.limit)
	}
	if o.rateLimit != operationsPerMinute {
		flags += fmt.Sprintf(" --rate-limit %d", o.rateLimit)
	}
	return flags
}
