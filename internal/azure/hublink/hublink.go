// Package hublink links single hubs, by a key or by a managed identity, to a provisioning service that others change
// too: it reads the service's description, changes one entry of its list of hubs in the raw JSON, writes it back on
// condition of the etag, and checks that the entry stays and that nothing else changed.
//
// It does not declare services, knows few of their other properties, assigns no roles, and never changes another hub's
// entry. The
// api-version is the newest stable one that ARM serves (versions.go), the same for all requests of a change.
package hublink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"evenkeel/internal/azure/arm"
)

// ErrNoService reports that the provisioning service, or its resource group, does not exist.
var ErrNoService = errors.New("the provisioning service does not exist")

// Result is what a change did.
type Result struct {
	// Sent: something may have been changed, even when there is an error.
	Sent bool
	// Namespaces are the Device Registry namespaces that the service is linked to, by their resource ids: they own
	// links, too.
	Namespaces []string
}

// ExistsError reports that the hub is already linked, but not as declared.
type ExistsError struct{ Present Link }

func (e *ExistsError) Error() string {
	return fmt.Sprintf("the hub %s is linked already", e.Present.Host)
}

// Pace holds the times that the client waits. The zero value is the pace for Azure.
type Pace struct {
	// FirstPause is the wait before the second attempt; each further one is twice as long, up to MostPause, all with a
	// jitter of a half.
	FirstPause, MostPause time.Duration
	// Settle is the time for which a change must stay: a concurrent change that is based on the earlier description
	// comes within that time.
	Settle time.Duration
	// Patience limits the duration of one call.
	Patience time.Duration
}

var azurePace = Pace{
	FirstPause: 300 * time.Millisecond,
	MostPause:  10 * time.Second,
	Settle:     time.Second,
	Patience:   10 * time.Minute,
}

// Client changes links. It is safe for concurrent use: changes of one service by one client follow one another.
type Client struct {
	arm  *arm.Client
	pace Pace

	mu         sync.Mutex // guards the maps
	turns      map[string]chan struct{}
	versionsOf map[string]*servedVersions     // by lower-case id of the service
	listed     map[string]map[string][]string // what registration returns, by subscription
}

// New returns a client. A zero pace is that for Azure.
func New(arm *arm.Client, pace Pace) *Client {
	if pace == (Pace{}) {
		pace = azurePace
	}
	return &Client{
		arm: arm, pace: pace, turns: map[string]chan struct{}{},
		versionsOf: map[string]*servedVersions{}, listed: map[string]map[string][]string{},
	}
}

// Find returns the link of a hub, without its key, and whether it exists. It waits while the service is in transition,
// and fails with ErrNoService only when ARM itself says that the service does not exist.
func (c *Client) Find(ctx context.Context, service, host string) (Link, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, c.pace.Patience)
	defer cancel()
	d, _, err := c.open(ctx, service)
	if err != nil {
		return Link{}, false, err
	}
	i, err := d.find(host)
	if i < 0 || err != nil {
		return Link{}, false, err
	}
	link, err := d.link(i)
	return link, err == nil, err
}

// Create links the hub. A link that exists and equals the wanted one is taken over and gets the key; another one is an
// *ExistsError. A link by a managed identity that the service does not have is an *UnlinkableError.
func (c *Client) Create(ctx context.Context, service string, want Link) (Result, error) {
	if err := c.checkProfile(ctx, service, want.Host); err != nil {
		return Result{}, err
	}
	return c.change(ctx, service, want.Host, func(d *document, again bool) (bool, error) {
		i, err := d.find(want.Host)
		if err != nil {
			return false, err
		}
		if i >= 0 && !again {
			if present, err := d.link(i); err != nil || !Same(present, want) {
				return false, errors.Join(&ExistsError{present}, err)
			}
		}
		return true, d.set(want)
	}, want.isHeldBy)
}

// Update changes the link to the declared one, and recreates it if it was removed. Without a key the link keeps its
// key.
func (c *Client) Update(ctx context.Context, service string, want Link) (Result, error) {
	return c.change(
		ctx,
		service,
		want.Host,
		func(d *document, _ bool) (bool, error) { return true, d.set(want) },
		want.isHeldBy,
	)
}

// Remove unlinks the hub. It succeeds when the hub is not linked and when the service does not exist.
func (c *Client) Remove(ctx context.Context, service, host string) error {
	_, err := c.change(ctx, service, host,
		func(d *document, _ bool) (bool, error) { return d.drop(host) },
		func(d *document) (bool, error) {
			i, err := d.find(host)
			return i < 0, err
		})
	if errors.Is(err, ErrNoService) {
		return nil
	}
	return err
}

// change applies an edit of the own entry to the service until it stays. edit gets the current service, and whether it
// was sent before; it returns false if there is nothing to send.
func (c *Client) change(
	ctx context.Context,
	service, own string,
	edit func(d *document, again bool) (bool, error),
	holds func(*document) (bool, error),
) (Result, error) {
	outer := ctx
	ctx, cancel := context.WithTimeout(ctx, c.pace.Patience)
	defer cancel()
	var result Result
	for try := 0; ; try++ {
		w, err := c.attempt(ctx, service, func(d *document) (bool, error) { return edit(d, result.Sent) })
		result.Sent = result.Sent || w.sent
		if w.before != nil {
			result.Namespaces = w.before.namespaces()
		}
		if err == nil {
			var held bool
			if held, err = c.settles(ctx, service, own, w, holds); held || err != nil {
				return result, err
			}
			err = errors.New("a concurrent change by another client undid it")
		} else if !errors.Is(err, errRace) {
			return result, err
		}
		if c.pause(ctx, try) != nil {
			if outer.Err() != nil {
				return result, outer.Err()
			}
			return result, fmt.Errorf("gave up after %s and %d tries: %w", c.pace.Patience, try+1, err)
		}
	}
}

// errRace marks a refusal that another attempt with the current version may not get.
var errRace = errors.New("the provisioning service was changed at the same time")

// write is one attempt of a change.
type write struct {
	// sent: the write was sent and not refused.
	sent bool
	// before is the service as it was read for the write, first is ARM's answer to the write.
	before *document
	first  map[string]json.RawMessage
}

// attempt reads, edits and writes the service once.
func (c *Client) attempt(ctx context.Context, service string, edit func(*document) (bool, error)) (write, error) {
	done, err := c.turn(ctx, service)
	if err != nil {
		return write{}, err
	}
	defer done()
	d, versions, err := c.openToWrite(ctx, service)
	if err != nil {
		return write{}, err
	}
	w := write{before: d}
	if changed, err := edit(d); err != nil || !changed {
		return w, err
	}
	body, err := d.encode()
	if err != nil {
		return w, err
	}
	written, accepted, err := c.arm.Replace(
		ctx,
		arm.Target{ID: service, APIVersion: d.version, IfMatch: d.etag()},
		body,
	)
	if w.first = written.First; w.first["properties"] == nil {
		w.first = written.Last
	}
	var refused *arm.Error
	named, unserved := arm.IsUnserved(err)
	switch {
	case err == nil || accepted:
		w.sent = true
		return w, err
	case unserved:
		// Regions get a version at different times. Another version begins with its own reading.
		versions.excludeWrites(d.version, named)
		return w, fmt.Errorf("%w: %w", errRace, err)
	case arm.HasStatus(err, http.StatusConflict, http.StatusPreconditionFailed):
		return w, fmt.Errorf("%w: %w", errRace, err)
	case !errors.As(err, &refused):
		w.sent = true // without an answer it is unknown
		return w, err
	case refused.Status == http.StatusBadRequest:
		// A masked key that is sent back is refused when its link was removed in the meantime.
		if now, readErr := c.read(ctx, service, d.version); readErr == nil && now.etag() != d.etag() {
			return w, fmt.Errorf("%w: %w", errRace, err)
		}
	}
	return w, err
}

// settles reports whether a change stays: at once if nothing had to be sent, and otherwise still after a while. Damage
// to anything else is an error.
func (c *Client) settles(
	ctx context.Context,
	service, own string,
	w write,
	holds func(*document) (bool, error),
) (bool, error) {
	if !w.sent {
		return true, nil
	}
	for look := range 3 {
		d, err := c.read(ctx, service, w.before.version)
		if err != nil {
			return false, err
		}
		if members := damage(w.before, d, w.first, own); look == 0 && len(members) > 0 {
			return false, &DamageError{Members: members, Version: w.before.version}
		}
		if held, err := holds(d); err != nil || !held || look == 2 {
			return held, err
		}
		if err := sleep(ctx, c.pace.Settle/2); err != nil {
			return false, err
		}
	}
	return true, nil
}

// read returns the service, as one api-version shows it, once it is in no transition.
func (c *Client) read(ctx context.Context, service, version string) (*document, error) {
	for try := 0; ; try++ {
		d := &document{id: service, version: version}
		err := c.arm.Get(ctx, arm.Target{ID: service, APIVersion: version}, &d.body)
		if isAbsent(err) {
			return nil, fmt.Errorf("%w: %w", ErrNoService, err)
		}
		if err != nil {
			return nil, err
		}
		if err := d.decode(); err != nil {
			return nil, fmt.Errorf("read %s: %w", service, err)
		}
		if !d.isInTransition() {
			return d, nil
		}
		if err := c.pause(ctx, try); err != nil {
			return nil, fmt.Errorf("wait for the end of another change of %s: %w", service, err)
		}
	}
}

// isAbsent reports whether ARM or the resource provider itself says that the service does not exist. A 404 about the
// subscription or the api-version, or from a proxy, does not mean that.
func isAbsent(err error) bool {
	var refused *arm.Error
	return errors.As(err, &refused) && refused.Status == http.StatusNotFound &&
		(refused.Code == "ResourceNotFound" || refused.Code == "ResourceGroupNotFound" ||
			strings.HasPrefix(refused.Code, "404"))
}

// turn waits until no other change of the service by this client is running.
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

// pause waits for a random time before another attempt, so that two clients that collided do not collide again.
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
