package state

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"evenkeel/internal/azure/sas"
)

func (r *Resource) fields(c *codec) {
	text(c, "subscription", &r.ID.Subscription)
	text(c, "group", &r.ID.Group)
	text(c, "name", &r.ID.Name)
	text(c, "location", &r.Location)
	c.tags("tags", &r.Tags)
	text(c, "sku", &r.SKU.Name)
	c.int("capacity", &r.SKU.Capacity)
	list(c, "policies", &r.Policies, func(p *Policy) {
		text(c, "name", &p.Name)
		texts(c, "rights", &p.Rights)
		text(c, "primaryKey", &p.PrimaryKey)
		text(c, "secondaryKey", &p.SecondaryKey)
	})
	c.bytes("properties", &r.Properties)
	c.time("created", &r.Created)
	text(c, "phase", &r.Phase)
	c.time("due", &r.Due)
	c.uint("version", &r.Version)
}

func (r *Resource) copy() Resource {
	out := *r
	out.Tags = maps.Clone(r.Tags)
	out.Properties = slices.Clone(r.Properties)
	out.Policies = slices.Clone(r.Policies)
	for i := range out.Policies {
		out.Policies[i].Rights = slices.Clone(out.Policies[i].Rights)
	}
	return out
}

// is reports whether both ids identify the same resource.
func (id ResourceID) is(other ResourceID) bool {
	return groupName(id.Subscription, id.Group) == groupName(other.Subscription, other.Group) &&
		strings.EqualFold(id.Name, other.Name)
}

// within reports whether the resource is in the group, or in the subscription if group is empty. If both are empty
// the answer is always true.
func (id ResourceID) within(subscription, group string) bool {
	return (subscription == "" || strings.EqualFold(id.Subscription, subscription)) &&
		(group == "" || strings.EqualFold(id.Group, group))
}

// replace checks whether next may replace old, which is nil if the resource is new, and completes next. It returns the
// phase that follows.
func (s *State) replace(object string, next, old *Resource, etag string) (Phase, error) {
	if err := s.home(object, next.ID); err != nil {
		return "", err
	}
	phase, oldETag := Activating, ""
	if old != nil {
		phase, oldETag = Transitioning, old.ETag()
		if !old.ID.is(next.ID) {
			return "", &Error{Kind: Exists, Object: object, Reason: "exists in another resource group or subscription"}
		}
		if err := idle(object, *old); err != nil {
			return "", err
		}
	}
	if err := check(object, etag, oldETag, old != nil); err != nil {
		return "", err
	}
	return phase, s.completeResource(object, next, old)
}

// completeResource copies to a new version of a resource what it keeps from the current one, old, which is nil if the
// resource is new. Then it generates missing keys.
func (s *State) completeResource(object string, r, old *Resource) error {
	r.Created, r.Version = s.Now(), s.version+1
	var known []Policy
	if old != nil {
		if r.Location == "" {
			r.Location = old.Location
		}
		if locationName(r.Location) != locationName(old.Location) {
			return &Error{Kind: Invalid, Object: object, Reason: "is in " + old.Location +
				"; its location cannot be changed"}
		}
		r.ID, r.Created, known = old.ID, old.Created, old.Policies
		if r.Policies == nil {
			r.Policies = slices.Clone(old.Policies)
		}
	}
	if len(r.Policies) == 0 {
		return &Error{Kind: Invalid, Object: object, Reason: "needs at least one shared access policy"}
	}
	for i := range r.Policies {
		if err := s.completeKeys(&r.Policies[i], known); err != nil {
			return err
		}
	}
	return nil
}

// completeKeys fills empty keys of p: with those of the current policy of that name, or else with new ones. Fidelity:
// whether Azure keeps the keys of a policy if a PUT omits them is not documented.
func (s *State) completeKeys(p *Policy, known []Policy) error {
	pair := SymmetricKey{p.PrimaryKey, p.SecondaryKey}
	for _, k := range known {
		if strings.EqualFold(k.Name, p.Name) {
			pair.Primary, pair.Secondary = cmp.Or(pair.Primary, k.PrimaryKey), cmp.Or(pair.Secondary, k.SecondaryKey)
		}
	}
	if err := s.completePair(&pair); err != nil {
		return err
	}
	p.PrimaryKey, p.SecondaryKey = pair.Primary, pair.Secondary
	return nil
}

// completePair generates empty keys.
func (s *State) completePair(pair *SymmetricKey) error {
	for _, key := range []*string{&pair.Primary, &pair.Secondary} {
		if *key != "" {
			continue
		}
		var err error
		if *key, err = sas.NewKey(s.random); err != nil {
			return fmt.Errorf("generate key: %w", err)
		}
	}
	return nil
}

func (h *Hub) key() []byte { return keyOf(tableHub, h.Host()) }

func (h *Hub) copy() Hub { return Hub{h.Resource.copy(), h.Settings} }

func hubObject(name string) string { return fmt.Sprintf("IoT hub %q", name) }

func noHub(name string) error {
	return &Error{Kind: NotFound, Object: hubObject(name), Reason: "does not exist"}
}

// hub returns the stored hub with that id. The caller holds world.
func (s *State) hub(id ResourceID) (*Hub, error) {
	h := s.hubs[HubHost(id.Name)]
	if h == nil || !h.ID.is(id) {
		return nil, noHub(id.Name)
	}
	return h, nil
}

// Hub returns the hub with that id.
func (s *State) Hub(id ResourceID) (Hub, error) {
	leave, err := s.enter()
	if err != nil {
		return Hub{}, err
	}
	defer leave()
	h, err := s.hub(id)
	if err != nil {
		return Hub{}, err
	}
	return h.copy(), nil
}

// HubByHost returns the hub with that host name, in any phase.
func (s *State) HubByHost(host string) (Hub, error) {
	leave, err := s.enter()
	if err != nil {
		return Hub{}, err
	}
	defer leave()
	h := s.hubs[ClassicHost(host)]
	if h == nil {
		return Hub{}, noHub(host)
	}
	return h.copy(), nil
}

// Hubs returns the hubs of a group, or of the subscription if group is empty, or all hubs if both are empty, sorted
// by host name.
func (s *State) Hubs(subscription, group string) ([]Hub, error) {
	leave, err := s.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	var out []Hub
	for _, host := range slices.Sorted(maps.Keys(s.hubs)) {
		if h := s.hubs[host]; h.ID.within(subscription, group) {
			out = append(out, h.copy())
		}
	}
	return out, nil
}

// PutHub creates or replaces a hub and reports whether it created one. took is the duration of the transition.
// Refusals: ParentNotFound without its resource group, Exists if another group has a hub of that name, Busy while in
// transition, Precondition by etag, Invalid for a changed location. On an update, nil Policies keep the current ones;
// empty keys are kept or generated.
func (s *State) PutHub(h Hub, etag string, took time.Duration) (Hub, bool, error) {
	leave, err := s.alter()
	if err != nil {
		return Hub{}, false, err
	}
	defer leave()
	object, old := hubObject(h.ID.Name), s.hubs[h.Host()]
	var known *Resource
	if old != nil {
		known = &old.Resource
	}
	next := h.copy()
	phase, err := s.replace(object, &next.Resource, known, etag)
	if err != nil {
		return Hub{}, false, err
	}
	if err := s.derive(&next); err != nil {
		return Hub{}, false, err
	}
	s.begin(&next.Resource, phase, took)
	return next.copy(), old == nil, s.keepHub(&next)
}

// SetHubTags replaces a hub's tags.
func (s *State) SetHubTags(id ResourceID, tags map[string]string, took time.Duration) (Hub, error) {
	leave, err := s.alter()
	if err != nil {
		return Hub{}, err
	}
	defer leave()
	h, err := s.hub(id)
	if err != nil {
		return Hub{}, err
	}
	if err := idle(hubObject(id.Name), h.Resource); err != nil {
		return Hub{}, err
	}
	next := h.copy()
	next.Tags, next.Version = maps.Clone(tags), s.version+1
	s.begin(&next.Resource, Transitioning, took)
	return next.copy(), s.keepHub(&next)
}

// DeleteHub deletes a hub with its devices and twins, which takes the duration took. Deleting a hub that is being
// deleted changes nothing; a hub in another transition is Busy.
func (s *State) DeleteHub(id ResourceID, took time.Duration) (Hub, error) {
	leave, err := s.alter()
	if err != nil {
		return Hub{}, err
	}
	defer leave()
	h, err := s.hub(id)
	if err != nil {
		return Hub{}, err
	}
	if h.Phase == Deleting {
		return h.copy(), nil
	}
	if err := idle(hubObject(id.Name), h.Resource); err != nil {
		return Hub{}, err
	}
	next := h.copy()
	next.Phase, next.Due, next.Version = Deleting, s.Now().Add(max(took, 0)), s.version+1
	if err := s.keepHub(&next); err != nil {
		return Hub{}, err
	}
	return next.copy(), s.settleTransitions()
}

func (s *State) keepHub(h *Hub) error {
	b := s.store.batch()
	b.put(h.key(), h)
	b.put(keyOf(tableMeta), &meta{h.Version})
	if err := s.store.commit(b); err != nil {
		return err
	}
	s.hubs[h.Host()], s.version = h, h.Version
	s.schedule()
	s.notifyHosts()
	return nil
}
