// Package traffic controls the operations of clients: it lets an operation pass, delays it, or refuses it, because a
// test injected a fault or because one of Azure's documented limits is reached.
//
// It identifies operations by their surface, method and path, and does not know their effects. Each surface writes
// refusals in its own format; package hold is for requests that wait for a test.
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

// Call is an operation that a client requests.
type Call struct {
	hold.Request
	// Host is the host of a hub or a service API, or the ID scope of a registration, in any letter case.
	Host string
	// Device is the client, if the path does not name it.
	Device string
	// Bytes is the size of the payload.
	Bytes int64
}

// ErrDropped refuses an operation without a reply: its connection is closed.
var ErrDropped = errors.New("the connection is dropped by an injected fault")

// Refusal refuses an operation with a reply.
type Refusal struct {
	// Status is the HTTP status. Code is the error number of DPS and IoT Hub, by default Status × 1000 + 1. Name is
	// the error code of ARM and IoT Hub, by default derived from the status.
	Status, Code  int
	Name, Message string
	// RetryAfter is sent if it is positive, in whole seconds, rounded up.
	RetryAfter time.Duration
}

// Error implements error.
func (r *Refusal) Error() string { return fmt.Sprintf("%d %s", r.Status, r.Message) }

// Seconds returns RetryAfter for a header, or "".
func (r *Refusal) Seconds() string {
	if r.RetryAfter <= 0 {
		return ""
	}
	return fmt.Sprint(int64((r.RetryAfter + time.Second - 1) / time.Second))
}

// complete fills in the defaults.
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

// Refuser is a surface that writes refusals in its own format.
type Refuser interface {
	Refuse(http.ResponseWriter, *Refusal)
}

// Gate decides which operations pass. A nil Gate passes all.
type Gate struct {
	Faults *Faults
	Limits *Limits
}

// Pass returns nil if the operation should be carried out, ErrDropped, or a *Refusal. It takes as long as a fault's
// delay, or until ctx is done.
func (g *Gate) Pass(ctx context.Context, c Call) error {
	if g == nil {
		return nil
	}
	if err := g.Faults.apply(ctx, c.Request); err != nil {
		return err
	}
	return g.Limits.charge(c)
}
