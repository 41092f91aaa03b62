// Package hublink links single hubs to a provisioning service that others change too: it reads the service's description, changes
// one entry of its list of hubs in the raw JSON, writes it back on condition of the etag, and looks whether the entry stays.
//
// It declares no service, knows no other property of one, and never touches another hub's entry.
package hublink

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"evenkeel/internal/azure/arm"
)

// apiVersion is the one that azure-native 2.92.3 makes provisioning services with.
const apiVersion = "2022-12-12"

// ErrNoService says that ARM knows no such provisioning service, or no such resource group.
var ErrNoService = errors.New("there is no such provisioning service")

// ExistsError says that the hub is linked already, in another way than was wanted.
type ExistsError struct{ Present Link }

func (e *ExistsError) Error() string {
	return fmt.Sprintf("the hub %s is linked already", e.Present.Host)
}

// Pace says how long the client waits for what. The zero value is the pace for Azure.
type Pace struct {
	// FirstPause is the wait before the second try; each further one is twice as long, up to MostPause, all give or take a half.
	FirstPause, MostPause time.Duration
	// Settle is how long a change must hold: a change by somebody else, based on what was there before, comes within that time.
	Settle time.Duration
	// Patience bounds one call.
	Patience time.Duration
}

var azurePace = Pace{FirstPause: 300 * time.Millisecond, MostPause: 10 * time.Second, Settle: time.Second, Patience: 10 * time.Minute}

// Client changes links. It is safe for concurrent use: changes of one service by one client follow one another.
type Client struct {
	arm  *arm.Client
	pace Pace

	mu    sync.Mutex // guards turns
	turns map[string]chan struct{}
}

// New returns a client. A zero pace is that for Azure.
func New(arm *arm.Client, pace Pace) *Client {
	if pace == (Pace{}) {
		pace = azurePace
	}
	return &Client{arm: arm, pace: pace, turns: map[string]chan struct{}{}}
}

// Find returns the link of a hub, without its key, and whether there is one. A service that is in transition is waited for. It fails
// with ErrNoService only when ARM itself says so.
func (c *Client) Find(ctx context.Context, service, host string) (Link, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, c.pace.Patience)
	defer cancel()
	d, err := c.read(ctx, service)
	if err != nil {
		return Link{}, false, err
	}
	i := d.find(host)
	if i < 0 {
		return Link{}, false, nil
	}
	link, err := d.link(i)
	return link, err == nil, err
}

// Create links the hub. A link that is there already and equals the wanted one is taken over and gets the key; another one is an
// *ExistsError. sent says that something may have been changed, also when err is set.
func (c *Client) Create(ctx context.Context, service string, want Link) (sent bool, err error) {
	return c.change(ctx, service, func(d *document, again bool) (bool, error) {
		if i := d.find(want.Host); i >= 0 && !again {
			if present, err := d.link(i); err != nil || !Same(present, want) {
				return false, errors.Join(&ExistsError{present}, err)
			}
		}
		return true, d.set(want)
	}, want.heldBy)
}

// Update makes the link what is wanted; one that is lost is made anew. Without a key the link keeps the one it has. sent is as Create's.
func (c *Client) Update(ctx context.Context, service string, want Link) (sent bool, err error) {
	return c.change(ctx, service, func(d *document, _ bool) (bool, error) { return true, d.set(want) }, want.heldBy)
}

// Remove unlinks the hub; one that is not linked is no error, nor is a service that is gone.
func (c *Client) Remove(ctx context.Context, service, host string) error {
	_, err := c.change(ctx, service,
		func(d *document, _ bool) (bool, error) { return d.drop(host), nil },
		func(d *document) bool { return d.find(host) < 0 })
	if errors.Is(err, ErrNoService) {
		return nil
	}
	return err
}

// change brings an edit into the service until it holds. edit gets the service as it is, and whether it was sent before; it returns
// false when there is nothing to send.
func (c *Client) change(ctx context.Context, service string, edit func(d *document, again bool) (bool, error), holds func(*document) bool) (bool, error) {
	outer := ctx
	ctx, cancel := context.WithTimeout(ctx, c.pace.Patience)
	defer cancel()
	sent := false
	for try := 0; ; try++ {
		put, err := c.attempt(ctx, service, func(d *document) (bool, error) { return edit(d, sent) })
		sent = sent || put
		if err == nil {
			var held bool
			if held, err = c.settles(ctx, service, put, holds); held || err != nil {
				return sent, err
			}
			err = errors.New("somebody else's change, made at the same time, undid it")
		} else if !errors.Is(err, errRace) {
			return sent, err
		}
		if c.pause(ctx, try) != nil {
			if outer.Err() != nil {
				return sent, outer.Err()
			}
			return sent, fmt.Errorf("gave up after %s and %d tries: %w", c.pace.Patience, try+1, err)
		}
	}
}

// errRace marks a refusal that another try on the present version may not meet.
var errRace = errors.New("the provisioning service was changed at the same time")

// attempt reads, edits and writes the service once. put says that the write was sent and not refused.
func (c *Client) attempt(ctx context.Context, service string, edit func(*document) (bool, error)) (put bool, err error) {
	done, err := c.turn(ctx, service)
	if err != nil {
		return false, err
	}
	defer done()
	d, err := c.read(ctx, service)
	if err != nil {
		return false, err
	}
	if changed, err := edit(d); err != nil || !changed {
		return false, err
	}
	body, err := d.encode()
	if err != nil {
		return false, err
	}
	_, accepted, err := c.arm.Put(ctx, arm.Target{ID: service, APIVersion: apiVersion, IfMatch: d.etag()}, body, true)
	var refused *arm.Error
	switch {
	case err == nil || accepted:
		return true, err
	case arm.HasStatus(err, http.StatusConflict, http.StatusPreconditionFailed):
		return false, fmt.Errorf("%w: %w", errRace, err)
	case !errors.As(err, &refused):
		return true, err // without an answer nobody knows
	case refused.Status == http.StatusBadRequest:
		// A masked key that is sent back is refused when its link has gone meanwhile.
		if now, readErr := c.read(ctx, service); readErr == nil && now.etag() != d.etag() {
			return false, fmt.Errorf("%w: %w", errRace, err)
		}
	}
	return false, err
}

// settles reports whether a change holds: at once when nothing had to be sent, and still after a while when something was.
func (c *Client) settles(ctx context.Context, service string, put bool, holds func(*document) bool) (bool, error) {
	if !put {
		return true, nil
	}
	for range 2 {
		d, err := c.read(ctx, service)
		if err != nil || !holds(d) {
			return false, err
		}
		if err := sleep(ctx, c.pace.Settle/2); err != nil {
			return false, err
		}
	}
	d, err := c.read(ctx, service)
	return err == nil && holds(d), err
}

// read returns the service once it is in no transition.
func (c *Client) read(ctx context.Context, service string) (*document, error) {
	for try := 0; ; try++ {
		d := &document{}
		err := c.arm.Get(ctx, arm.Target{ID: service, APIVersion: apiVersion}, &d.body)
		if isAbsent(err) {
			return nil, fmt.Errorf("%w: %w", ErrNoService, err)
		}
		if err != nil {
			return nil, err
		}
		if err := d.decode(); err != nil {
			return nil, fmt.Errorf("read %s: %w", service, err)
		}
		if !d.inTransition() {
			return d, nil
		}
		if err := c.pause(ctx, try); err != nil {
			return nil, fmt.Errorf("wait for the end of another change of %s: %w", service, err)
		}
	}
}

// isAbsent reports whether ARM or the resource provider itself says that there is no such service. A 404 about the subscription or
// the api-version, or from a proxy on the way, says nothing of the sort.
func isAbsent(err error) bool {
	var refused *arm.Error
	return errors.As(err, &refused) && refused.Status == http.StatusNotFound &&
		(refused.Code == "ResourceNotFound" || refused.Code == "ResourceGroupNotFound" || strings.HasPrefix(refused.Code, "404"))
}

// turn waits until no other change of the service by this client is under way.
func (c *Client) turn(ctx context.Context, service string) (done func(), err error) {
	c.mu.Lock()
	name := strings.ToLower(service)
	turn, ok := c.turns[name]
	if !ok {
		turn = make(chan struct{}, 1)
		c.turns[name] = turn
	}
	c.mu.Unlock()
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// pause waits before another try, by chance longer or shorter, so that two who met do not meet again.
func (c *Client) pause(ctx context.Context, try int) error {
	wait := c.pace.MostPause
	if try < 16 {
		wait = min(wait, c.pace.FirstPause<<try)
	}
	return sleep(ctx, time.Duration((0.5+rand.Float64())*float64(wait)))
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
