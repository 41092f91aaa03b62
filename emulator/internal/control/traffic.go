package control

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"time"

	"evenkeel/emulator/internal/hold"
	"evenkeel/emulator/internal/requestlog"
	"evenkeel/emulator/internal/routes"
	"evenkeel/emulator/internal/traffic"
)

func (s surface) routeTraffic(mux *routes.Mux) {
	mux.HandleFunc("GET /faults", s.listFaults)
	mux.HandleFunc("POST /faults", s.addFault)
	mux.HandleFunc("DELETE /faults", s.clearFaults)
	mux.HandleFunc("DELETE /faults/{id}", s.removeFault)
	mux.HandleFunc("GET /limits", s.getLimits)
	mux.HandleFunc("PUT /limits", s.putLimits)
	mux.HandleFunc("GET /roles", s.getRoles)
	mux.HandleFunc("PUT /roles", s.putRoles)
}

// matchRequest selects operations, in the bodies of POST /holds and POST /faults.
type matchRequest struct {
	Surface requestlog.Surface `json:"surface,omitempty"`
	Method  string             `json:"method,omitempty"`
	// Path is a regular expression (RE2) for the path without its query, or for the MQTT topic.
	Path     string `json:"path,omitempty"`
	Mutating bool   `json:"mutating,omitempty"`
	Nth      int    `json:"nth,omitempty"`
}

func (m matchRequest) match() (hold.Match, error) {
	out := hold.Match{Surface: m.Surface, Method: m.Method, Mutating: m.Mutating, Nth: m.Nth}
	if m.Surface != "" && !slices.Contains(requestlog.Surfaces, m.Surface) {
		return out, fmt.Errorf("unknown surface %q: use one of %v", m.Surface, requestlog.Surfaces)
	}
	if m.Nth < 0 {
		return out, fmt.Errorf("nth is %d, want 1 or more", m.Nth)
	}
	if m.Path == "" {
		return out, nil
	}
	path, err := regexp.Compile(m.Path)
	if err != nil {
		return out, fmt.Errorf("path: %w", err)
	}
	out.Path = path
	return out, nil
}

// faultRequest is the body of POST /faults. Durations are Go's, for example "1.5s".
type faultRequest struct {
	matchRequest
	Count       int     `json:"count,omitempty"`
	Probability float64 `json:"probability,omitempty"`
	Seed        uint64  `json:"seed,omitempty"`

	Delay      string `json:"delay,omitempty"`
	Drop       bool   `json:"drop,omitempty"`
	Status     int    `json:"status,omitempty"`
	Code       int    `json:"code,omitempty"`
	Name       string `json:"name,omitempty"`
	Message    string `json:"message,omitempty"`
	RetryAfter string `json:"retryAfter,omitempty"`
}

// faultAnswer is an active fault: the request with defaults, and how many operations it has seen and affected.
type faultAnswer struct {
	ID string `json:"id"`
	faultRequest
	Seen int `json:"seen"`
	Met  int `json:"met"`
}

func (f faultRequest) fault() (traffic.Fault, error) {
	match, err := f.match()
	if err != nil {
		return traffic.Fault{}, err
	}
	out := traffic.Fault{Match: match, Count: f.Count, Probability: f.Probability, Seed: f.Seed, Drop: f.Drop}
	if out.Delay, err = duration("delay", f.Delay); err != nil {
		return out, err
	}
	wait, err := duration("retryAfter", f.RetryAfter)
	if err != nil {
		return out, err
	}
	switch {
	case f.Status != 0:
		out.Refuse = &traffic.Refusal{Status: f.Status, Code: f.Code, Name: f.Name, Message: f.Message,
			RetryAfter: wait}
	case f.Code != 0 || f.Name != "" || f.Message != "" || wait != 0:
		return out, errors.New("code, name, message and retryAfter need a status")
	}
	return out, out.Check()
}

func duration(name, text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%s=%q is not a duration, as 1.5s", name, text)
	}
	return d, nil
}

func showFault(i traffic.Injected) faultAnswer {
	a := faultAnswer{ID: i.ID, Seen: i.Seen, Met: i.Met, faultRequest: faultRequest{
		matchRequest: matchRequest{Surface: i.Surface, Method: i.Method, Mutating: i.Mutating, Nth: i.Nth},
		Count:        i.Count, Probability: i.Probability, Seed: i.Seed, Drop: i.Drop,
	}}
	if i.Path != nil {
		a.Path = i.Path.String()
	}
	if i.Delay > 0 {
		a.Delay = i.Delay.String()
	}
	if r := i.Refuse; r != nil {
		a.Status, a.Code, a.Name, a.Message = r.Status, r.Code, r.Name, r.Message
		if r.RetryAfter > 0 {
			a.RetryAfter = r.RetryAfter.String()
		}
	}
	return a
}

func (s surface) listFaults(w http.ResponseWriter, _ *http.Request) {
	answers := []faultAnswer{}
	for _, i := range s.Gate.Faults.List() {
		answers = append(answers, showFault(i))
	}
	writeJSON(w, http.StatusOK, answers)
}

// addFault injects a fault.
func (s surface) addFault(w http.ResponseWriter, r *http.Request) {
	var body faultRequest
	if !readJSON(w, r, &body) {
		return
	}
	fault, err := body.fault()
	if err != nil {
		writeError(w, http.StatusBadRequest, err)
		return
	}
	writeJSON(w, http.StatusCreated, showFault(s.Gate.Faults.Add(fault)))
}

func (s surface) clearFaults(w http.ResponseWriter, _ *http.Request) {
	s.Gate.Faults.Clear()
	w.WriteHeader(http.StatusNoContent)
}

func (s surface) removeFault(w http.ResponseWriter, r *http.Request) {
	if !s.Gate.Faults.Remove(r.PathValue("id")) {
		writeError(w, http.StatusNotFound, fmt.Errorf("no fault %q", r.PathValue("id")))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// limitsAnswer reports whether Azure's limits are on, how many operations they have refused since they were set, and
// which limits exist.
type limitsAnswer struct {
	Azure   bool            `json:"azure"`
	Refused int64           `json:"refused"`
	Limits  []traffic.Limit `json:"limits"`
}

func (s surface) getLimits(w http.ResponseWriter, _ *http.Request) {
	on, refused := s.Gate.Limits.Status()
	writeJSON(w, http.StatusOK, limitsAnswer{on, refused, s.Gate.Limits.All()})
}

// putLimits turns the limits on or off.
func (s surface) putLimits(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Azure *bool `json:"azure"`
	}
	if !readJSON(w, r, &body) {
		return
	}
	if body.Azure == nil {
		writeError(w, http.StatusBadRequest, errors.New("azure must be true or false"))
		return
	}
	s.Gate.Limits.Set(*body.Azure)
	s.getLimits(w, r)
}
