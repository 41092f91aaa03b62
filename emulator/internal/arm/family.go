package arm

import (
	"net/http"
	"time"

	"evenkeel/emulator/internal/state"
)

// family is what IoT hubs and provisioning services share. They differ in how the state stores them and in how they
// are shown.
type family[T any] struct {
	// kind is the type's name under Microsoft.Devices. operation is the format of its operation URLs.
	kind, operation string

	get     func(*state.State, state.ResourceID) (T, error)
	list    func(s *state.State, subscription, group string) ([]T, error)
	setTags func(*state.State, state.ResourceID, map[string]string, time.Duration) (T, error)
	remove  func(*state.State, state.ResourceID, time.Duration) (T, error)
	// like are the versions that are answered like another one. From the version asynchronous on, a change of tags has
	// the headers of a long-running operation.
	like         map[string]string
	asynchronous string
	// common returns what every resource has. show returns the body of a response.
	common func(T) state.Resource
	show   func(*call, T) (any, error)
}

var hubs = family[state.Hub]{
	kind: hubKind, operation: operationOfHub,
	get: (*state.State).Hub, list: (*state.State).Hubs, setTags: (*state.State).SetHubTags,
	remove: (*state.State).DeleteHub, like: likeHubs, asynchronous: versionOfHostNames,
	common: func(h state.Hub) state.Resource { return h.Resource },
	show:   func(c *call, h state.Hub) (any, error) { return c.showHub(h) },
}

var services = family[state.Service]{
	kind: serviceKind, operation: operationOfService,
	get: (*state.State).Service, list: (*state.State).Services, setTags: (*state.State).SetServiceTags,
	remove: (*state.State).DeleteService, like: likeServices, asynchronous: versionOfLocation,
	common: func(v state.Service) state.Resource { return v.Resource },
	show:   func(c *call, v state.Service) (any, error) { return c.showService(v) },
}

// read returns the resource in the path.
func (f family[T]) read(c *call) (T, error) {
	thing, err := f.get(c.State, c.resource())
	if isKind(err, state.NotFound) {
		if _, err := c.group(); err != nil {
			return thing, err
		}
	}
	if err != nil {
		return thing, c.refusal(f.kind, err)
	}
	return thing, nil
}

func (f family[T]) answer(c *call, thing T) error {
	body, err := f.show(c, thing)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, body)
}

// getOne is IotHubResource_Get or IotDpsResource_Get. The response never contains policies, and keys of links are
// masked.
func (f family[T]) getOne(c *call) error {
	thing, err := f.read(c)
	if err != nil {
		return err
	}
	return f.answer(c, thing)
}

// exists is Resources_CheckExistence: clients expect 204 or 404.
func (f family[T]) exists(c *call) error {
	if _, err := f.read(c); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// getAll is …_ListByResourceGroup and …_ListBySubscription.
func (f family[T]) getAll(c *call) error {
	if c.values["group"] != "" {
		if _, err := c.group(); err != nil {
			return err
		}
	}
	things, err := f.list(c.State, c.Subscription, c.values["group"])
	if err != nil {
		return err
	}
	bodies := make([]any, len(things))
	for i, thing := range things {
		if bodies[i], err = f.show(c, thing); err != nil {
			return err
		}
	}
	return pageOf(c, bodies)
}

// patch is IotHubResource_Update or IotDpsResource_Update, which change tags only: 200 with the whole resource. The
// versions of 2026 describe it as a long-running operation, which has ended when this answers.
func (f family[T]) patch(c *call) error {
	tags, err := c.tagsPatch()
	if err != nil {
		return err
	}
	thing, err := f.read(c)
	if err != nil {
		return err
	}
	if tags != nil {
		if thing, err = f.setTags(c.State, c.resource(), tags, 0); err != nil {
			return c.refusal(f.kind, err)
		}
	}
	if c.described(f.like) >= f.asynchronous {
		if err := c.beginOperation(operation{kind: f.operation, location: f.common(thing).Location,
			withLocation: true, result: c.resource()}); err != nil {
			return err
		}
	}
	return f.answer(c, thing)
}

// delete is IotHubResource_Delete or IotDpsResource_Delete: 202, a body of null and both headers; 204 if it does not
// exist.
func (f family[T]) delete(c *call) error {
	if _, err := c.group(); err != nil {
		return err
	}
	thing, err := f.remove(c.State, c.resource(), c.Delay)
	if isKind(err, state.NotFound) {
		c.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	if err != nil {
		return c.refusal(f.kind, err)
	}
	if err := c.begin(f.operation, f.common(thing).Location, true); err != nil {
		return err
	}
	return c.json(http.StatusAccepted, nil)
}

// policies returns the policies of a resource for reading keys. One that is being created or deleted shows none.
func (f family[T]) policies(c *call) ([]state.Policy, error) {
	thing, err := f.read(c)
	if err != nil {
		return nil, err
	}
	resource := f.common(thing)
	if resource.Phase == state.Activating || resource.Phase == state.Deleting {
		return nil, notActive(f.kind, resource.ID.Name)
	}
	return resource.Policies, nil
}

// listKeys is IotHubResource_ListKeys or IotDpsResource_ListKeys.
func (f family[T]) listKeys(c *call) error {
	policies, err := f.policies(c)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, list{showPolicies(policies)})
}

// getKey is IotHubResource_GetKeysForKeyName or IotDpsResource_ListKeysForKeyName.
func (f family[T]) getKey(c *call) error {
	policies, err := f.policies(c)
	if err != nil {
		return err
	}
	policy, err := c.onePolicy(policies)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, policy)
}
