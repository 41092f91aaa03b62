package state

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Async is the record of a long-running ARM operation: running until Due, then succeeded, or failed if Code is set.
type Async struct {
	ID            string
	Resource      ResourceID
	Due           time.Time
	Code, Message string
}

func (a *Async) fields(c *codec) {
	text(c, "id", &a.ID)
	text(c, "subscription", &a.Resource.Subscription)
	text(c, "group", &a.Resource.Group)
	text(c, "name", &a.Resource.Name)
	c.time("due", &a.Due)
	text(c, "code", &a.Code)
	text(c, "message", &a.Message)
}

// PutAsync stores the record of an operation until a day after Due.
func (s *State) PutAsync(a Async) error {
	leave, err := s.alter()
	if err != nil {
		return err
	}
	defer leave()
	b := s.store.batch()
	b.put(keyOf(tableAsync, a.ID), &a)
	if err := s.store.commit(b); err != nil {
		return err
	}
	now := s.Now()
	if passed := now.Sub(s.asyncSwept); passed >= 0 && passed < asyncSweep {
		return nil
	}
	s.asyncSwept = now
	return s.forgetAsync()
}

// Async returns the record of an operation.
func (s *State) Async(id string) (Async, error) {
	leave, err := s.enter()
	if err != nil {
		return Async{}, err
	}
	defer leave()
	var a Async
	found, err := s.store.get(keyOf(tableAsync, id), &a)
	if err == nil && !found {
		err = &Error{Kind: NotFound, Object: fmt.Sprintf("operation %q", id), Reason: "does not exist"}
	}
	return a, err
}

// forgetAsync deletes the records of operations that ended long ago. The caller holds world.
func (s *State) forgetAsync() error {
	b := s.store.batch()
	err := loadAll(s.store, tableAsync, func(a *Async) error {
		if s.Now().Sub(a.Due) > asyncKept {
			b.delete(keyOf(tableAsync, a.ID))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.store.commit(b)
}

// Child is a document under a hub or a provisioning service that the ARM surface stores (certificate, consumer
// group). The state itself reads only certificates.
type Child struct {
	// Parent is the host name of the hub or service, which also distinguishes the two.
	Parent string
	// Kind is chosen by the surface, for example "certificates". Names are compared case-insensitively.
	Kind, Name string
	Body       []byte
	Version    uint64
}

// ETag is the child's etag in the 8-byte form.
func (c Child) ETag() string { return versionETag(c.Version) }

func (c *Child) fields(d *codec) {
	text(d, "parent", &c.Parent)
	text(d, "kind", &c.Kind)
	text(d, "name", &c.Name)
	d.bytes("body", &c.Body)
	d.uint("version", &c.Version)
}

func (c *Child) key() []byte {
	return keyOf(tableChild, strings.ToLower(c.Parent), c.Kind, strings.ToLower(c.Name))
}

func (c *Child) object() string { return fmt.Sprintf("%s %q of %s", c.Kind, c.Name, c.Parent) }

// Child returns one child document.
func (s *State) Child(parent, kind, name string) (Child, error) {
	leave, err := s.enter()
	if err != nil {
		return Child{}, err
	}
	defer leave()
	c := Child{Parent: parent, Kind: kind, Name: name}
	found, err := s.store.get(c.key(), &c)
	if err == nil && !found {
		err = &Error{Kind: NotFound, Object: c.object(), Reason: "does not exist"}
	}
	return c, err
}

// Children returns the children of a kind, sorted by name.
func (s *State) Children(parent, kind string) ([]Child, error) {
	leave, err := s.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	var out []Child
	start, end := under(tableChild, strings.ToLower(parent), kind)
	err = s.store.scan(start, end, func(_, value []byte) (bool, error) {
		var c Child
		err := decode(value, &c)
		out = append(out, c)
		return err == nil, err
	})
	return out, err
}

// PutChild creates or replaces a child document and reports whether it created one. It returns ParentNotFound if the
// hub or service does not exist.
func (s *State) PutChild(c Child, etag string) (Child, bool, error) {
	leave, err := s.alter()
	if err != nil {
		return Child{}, false, err
	}
	defer leave()
	parent := strings.ToLower(c.Parent)
	if s.hubs[parent] == nil && s.services[parent] == nil {
		return Child{}, false, &Error{Kind: ParentNotFound, Object: c.object(), Reason: parent + " does not exist"}
	}
	var old Child
	found, err := s.store.get(c.key(), &old)
	if err != nil {
		return Child{}, false, err
	}
	if err := check(c.object(), etag, old.ETag(), found); err != nil {
		return Child{}, false, err
	}
	if found {
		c.Name = old.Name
	}
	c.Version, c.Body = s.version+1, slices.Clone(c.Body)
	b := s.store.batch()
	b.put(c.key(), &c)
	b.put(keyOf(tableMeta), &meta{c.Version})
	if err := s.store.commit(b); err != nil {
		return Child{}, false, err
	}
	s.version = c.Version
	return c, !found, nil
}

// DeleteChild deletes a child document.
func (s *State) DeleteChild(parent, kind, name, etag string) error {
	leave, err := s.alter()
	if err != nil {
		return err
	}
	defer leave()
	c := Child{Parent: parent, Kind: kind, Name: name}
	found, err := s.store.get(c.key(), &c)
	if err != nil {
		return err
	}
	if etag == Unconditional {
		etag = MustExist
	}
	if err := check(c.object(), etag, c.ETag(), found); err != nil {
		return err
	}
	b := s.store.batch()
	b.delete(c.key())
	return s.store.commit(b)
}
