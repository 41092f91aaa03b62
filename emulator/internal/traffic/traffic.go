// Package traffic stands between clients and the emulated cloud: it lets an operation pass, delays it, or refuses it, because a test
// asked for a fault or because Azure's documented limits are reached.
//
// It knows which operations there are by their surface, method and path, and nothing of what they do. Each surface says a refusal in
// words of its own; requests that are to wait for a test are the package hold's.
package traffic

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"evenkeel/emulator/internal/hold"
)

// Call is an operation that somebody asks for.
type Call struct {
	hold.Request
	// Host is the host of a hub or a service API, or the ID scope of a registration, in any letter case.
	Host string
	// Device is who asks, where the path does not say.
	Device string
	// Bytes is the size of what was sent.
	Bytes int64
}

// ErrDropped refuses an operation without a word: its connection is closed.
var ErrDropped = errors.New("the connection is dropped by an injected fault")

// Refusal refuses an operation with an answer.
type Refusal struct {
	// Status is the one of HTTP; Code the number of DPS and IoT Hub, Status × 1000 + 1 when zero; Name the word that ARM and IoT Hub
	// say with it, made of the status when empty.
	Status, Code  int
	Name, Message string
	// RetryAfter is sent when it is positive, in whole seconds, rounded up.
	RetryAfter time.Duration
}

// Error implements error.
func (r *Refusal) Error() string { return fmt.Sprintf("%d %s", r.Status, r.Message) }

// Seconds is RetryAfter as a header says it; empty when there is none.
func (r *Refusal) Seconds() string {
	if r.RetryAfter <= 0 {
		return ""
	}
	return fmt.Sprint(int64((r.RetryAfter + time.Second - 1) / time.Second))
}

// complete fills in what was left open.
func (r *Refusal) complete() {
	if r.Code == 0 {
		r.Code = r.Status*1000 + 1
	}
	text := http.StatusText(r.Status)
	if r.Name == "" {
		r.Name = strings.ReplaceAll(text, " ", "")
	}
	if r.Message == "" {
		r.Message = text + "."
	}
}

// Refuser is a surface that says refusals in words of its own.
type Refuser interface {
	Refuse(http.ResponseWriter, *Refusal)
}

// Gate is what operations go through. A nil Gate lets everything pass.
type Gate struct {
	Faults *Faults
	Limits *Limits
}

// Pass returns nil when the operation is to be carried out, ErrDropped, or a *Refusal. It takes as long as a fault says; ctx ends that.
func (g *Gate) Pass(ctx context.Context, c Call) error {
	if g == nil {
		return nil
	}
	if err := g.Faults.meet(ctx, c.Request); err != nil {
		return err
	}
	return g.Limits.charge(c)
}
