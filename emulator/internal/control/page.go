package control

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"evenkeel/emulator/internal/requestlog"
	"evenkeel/emulator/internal/routes"
	"evenkeel/emulator/internal/state"
	"evenkeel/internal/fleet/spread"
)

// The page at / shows the content of the emulator. The server renders it as a whole; its script fetches it again and
// replaces the parts that changed. It contains no key, changes nothing, and loads nothing from other sites. A browser
// that opens the address sends no token and gets locked.html, whose script takes the token from the address's
// fragment, keeps it for the tab, and fetches the page with it.

//go:embed page
var pageFiles embed.FS

var pageTemplate = template.Must(template.New("page.html").Funcs(template.FuncMap{
	"clock": func(t time.Time) string { return t.UTC().Format("15:04:05") },
	"date":  func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
}).ParseFS(pageFiles, "page/page.html"))

const (
	// entriesShown is how many enrollments a page shows. requestsShown and registrationsShown are how many of the
	// latest ones.
	entriesShown, requestsShown, registrationsShown = 25, 25, 15
	// contentPolicy permits the page to load only its own files, and forbids frames.
	contentPolicy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

func (s surface) routePage(mux *routes.Mux) {
	mux.HandleFunc("GET /{$}", s.page)
	for _, name := range []string{"page.css", "page.js"} {
		mux.HandleFunc("GET /"+name, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "no-cache")
			http.ServeFileFS(w, r, pageFiles, "page/"+name)
		})
	}
}

// view is the data of the page.
type view struct {
	Now      time.Time
	Moved    bool
	Limits   bool
	Faults   int
	Hubs     []hubView
	Services []serviceView
	Requests []requestlog.Record
	// Seen are the registrations in the latest requests.
	Seen []registrationView
}

type hubView struct {
	Name, Location, SKU string
	Units               int64
	Devices, Connected  int
	Phase               state.Phase
}

type serviceView struct {
	Name, IDScope, Allocation string
	Links                     []linkView
	// Devices is the number of assigned devices. Width is the value of the longest bar.
	Devices int
	Groups  []entryView
	Entries []entryView
	// Next is the link to the next page of entries, First to the first.
	Next, First string
}

// linkView is a linked hub and its share. Bars are in percent of the longest.
type linkView struct {
	spread.Hub
	Takes               string
	Bar, BandFrom, Band float64
	Share               string
	Outside             bool
}

type entryView struct {
	ID, Attestation, Device, Status string
}

type registrationView struct {
	ID, Hub, Status string
	Updated         time.Time
}

// page responds with the page. ?service= (an ID scope) and ?after= (an id) select the enrollments that it shows.
//
// Without a valid token, which the guard has checked, it responds with the page that asks for one.
func (s surface) page(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", contentPolicy)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	if isOpen(r) {
		http.ServeFileFS(w, r, pageFiles, "page/locked.html")
		return
	}
	v, err := s.view(r.URL.Query())
	if err != nil {
		http.Error(w, "The page could not be rendered: "+err.Error(), http.StatusInternalServerError)
		return
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, v); err != nil {
		http.Error(w, "The page could not be rendered: "+err.Error(), http.StatusInternalServerError)
		return
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(b.Bytes()) // an error here means that the client has disconnected
}

func (s surface) view(q url.Values) (view, error) {
	v := view{Now: s.Clock.Now(), Moved: s.Clock.Offset().Abs() > time.Second, Faults: len(s.Gate.Faults.List())}
	v.Limits, _ = s.Gate.Limits.Status()
	hubs, err := s.State.Hubs("", "")
	if err != nil {
		return v, err
	}
	for _, h := range hubs {
		one := hubView{Name: h.ID.Name, Location: h.Location, SKU: h.SKU.Name, Units: h.SKU.Capacity, Phase: h.Phase}
		if n, err := s.counted.statistics(s.State, h.Host()); err == nil {
			one.Devices, one.Connected = n.Total, n.Connected
		} // a hub in transition has none
		v.Hubs = append(v.Hubs, one)
	}
	services, err := s.State.Services("", "")
	if err != nil {
		return v, err
	}
	for _, service := range services {
		after := ""
		if q.Get("service") == service.IDScope {
			after = q.Get("after")
		}
		one, err := s.serviceView(service, after)
		if err != nil {
			return v, err
		}
		v.Services = append(v.Services, one)
	}
	records := s.Log.Records(requestlog.Filter{})
	slices.Reverse(records)
	v.Seen = s.registrationsSeen(records)
	v.Requests = records[:min(len(records), requestsShown)]
	return v, nil
}

func (s surface) serviceView(service state.Service, after string) (serviceView, error) {
	v := serviceView{Name: service.ID.Name, IDScope: service.IDScope, Allocation: string(service.Allocation)}
	split, err := s.counted.split(s.State, service.IDScope)
	if err != nil {
		return v, err
	}
	v.Links = links(service.Links, split)
	for _, n := range split {
		v.Devices += n
	}
	groups, _, err := s.State.EnrollmentGroups(service.IDScope, "", entriesShown)
	if err != nil {
		return v, err
	}
	for _, g := range groups {
		v.Groups = append(v.Groups, showEntry(g.ID, "", g.Settings))
	}
	entries, next, err := s.State.Entries(state.Individuals, service.IDScope, after, entriesShown)
	if err != nil {
		return v, err
	}
	for _, e := range entries {
		v.Entries = append(v.Entries, showEntry(e.ID, e.DeviceID, e.Settings))
	}
	if next != "" {
		v.Next = "/?" + url.Values{"service": {service.IDScope}, "after": {next}}.Encode()
	}
	if after != "" {
		v.First = "/"
	}
	return v, nil
}

// links compares the hubs' shares with those expected from their weights.
func links(linked []state.Link, split map[string]int) []linkView {
	hubs := make([]spread.Hub, len(linked))
	longest := 1
	for i, l := range linked {
		hubs[i] = spread.Hub{Name: l.HubHost, Weight: 1, Devices: split[state.ClassicHost(l.HubHost)]}
		if l.Weight != nil {
			hubs[i].Weight = *l.Weight
		}
		if l.Apply != nil && !*l.Apply {
			hubs[i].Weight = 0
		}
	}
	spread.Expect(hubs)
	devices := 0
	for _, h := range hubs {
		longest, devices = max(longest, h.Devices, h.High), devices+h.Devices
	}
	percent := func(n int) float64 { return float64(n) * 100 / float64(longest) }
	views := make([]linkView, len(hubs))
	for i, h := range hubs {
		views[i] = linkView{
			Hub: h, Takes: "yes", Bar: percent(h.Devices), BandFrom: percent(h.Low), Band: percent(h.High - h.Low),
			Share:   fmt.Sprintf("%.1f %%", float64(h.Devices)*100/float64(max(1, devices))),
			Outside: h.Devices < h.Low || h.Devices > h.High,
		}
		if h.Weight == 0 {
			views[i].Takes = "no"
		}
	}
	return views
}

func showEntry(id, device string, s state.Settings) entryView {
	v := entryView{ID: id, Device: cmp.Or(device, id), Status: "enabled"}
	switch {
	case s.Attestation.SymmetricKey != nil:
		v.Attestation = "symmetric key"
	case s.Attestation.X509 != nil:
		v.Attestation = "X.509"
	case s.Attestation.TPM != nil:
		v.Attestation = "TPM"
	}
	if s.Disabled {
		v.Status = "disabled"
	}
	return v
}

// registrationsSeen returns those of the devices with the latest requests, newest first.
func (s surface) registrationsSeen(newestFirst []requestlog.Record) []registrationView {
	var found []registrationView
	known := map[string]bool{}
	for _, r := range newestFirst {
		path, _, _ := strings.Cut(strings.TrimPrefix(r.Path, "/"), "?")
		parts := strings.Split(path, "/")
		if r.Surface != requestlog.DPSDevice && r.Surface != requestlog.MQTTDPS || len(parts) < 3 ||
			known[parts[0]+"/"+parts[2]] {
			continue
		}
		known[parts[0]+"/"+parts[2]] = true
		// Devices that were refused have no registration.
		if one, err := s.State.Registration(parts[0], parts[2]); err == nil {
			found = append(found, registrationView{one.RegistrationID, one.AssignedHub, string(one.Status),
				one.Updated})
		}
		if len(found) == registrationsShown {
			break
		}
	}
	return found
}

// tally caches counts. The longer counting takes, the longer a count is reused, so that an open page does not keep a
// state of a million devices busy.
type tally struct {
	mu    sync.Mutex
	known map[string]counted
}

type counted struct {
	value any
	until time.Time
}

// patience is for how many times the duration of counting its result is reused.
const patience = 20

func count[T any](t *tally, key string, scan func() (T, error)) (T, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	start := time.Now()
	if c, ok := t.known[key]; ok && start.Before(c.until) {
		return c.value.(T), nil
	}
	value, err := scan()
	if err != nil {
		return value, err
	}
	if t.known == nil || len(t.known) > 1000 {
		t.known = map[string]counted{}
	}
	t.known[key] = counted{value, time.Now().Add(patience * time.Since(start))}
	return value, nil
}

func (t *tally) statistics(s *state.State, host string) (state.Statistics, error) {
	return count(t, "hub "+host, func() (state.Statistics, error) { return s.Statistics(host) })
}

func (t *tally) split(s *state.State, scope string) (map[string]int, error) {
	return count(t, "service "+scope, func() (map[string]int, error) { return s.Split(scope) })
}
