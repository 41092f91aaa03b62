package iothub

import (
	"cmp"
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"evenkeel/emulator/internal/routes"
	"evenkeel/emulator/internal/state"
)

// maxPage is the largest number of devices or twins in one response, and the default. Source: Devices_GetDevices,
// 2021-04-12.
const maxPage = 1000

// newCalls returns the calls of the service API and of devices over HTTPS. The rights are those of "Control access to
// IoT Hub".
func (h *Hubs) newCalls() *routes.Table[http.HandlerFunc] {
	calls := &routes.Table[http.HandlerFunc]{AnyCase: true, HeadByGet: true}
	service := func(pattern string, serve hubCall, rights ...string) {
		calls.Add(pattern, func(w http.ResponseWriter, r *http.Request) {
			h.serve(w, r, func(hub state.Hub) error {
				if err := h.authorizeService(hub, r, rights...); err != nil {
					return err
				}
				return serve(w, r, hub)
			})
		})
	}
	device := func(pattern string, serve hubCall, _ ...string) {
		calls.Add(pattern, func(w http.ResponseWriter, r *http.Request) {
			h.serve(w, r, func(hub state.Hub) error {
				if err := h.authorizeDevice(hub, r); err != nil {
					return err
				}
				return serve(w, r, hub)
			})
		})
	}
	for _, list := range []string{"/devices", "/devices/{$}"} {
		service("GET "+list, h.listDevices, registryRead)
		service("POST "+list, h.bulk, registryWrite)
	}
	service("GET /devices/{id}", h.getDevice, registryRead)
	service("PUT /devices/{id}", h.putDevice, registryWrite)
	service("DELETE /devices/{id}", h.deleteDevice, registryWrite)
	service("POST /devices/query", h.query, serviceConnect)
	service("POST /devices/keys/regenerate", h.regenerateKeys, registryWrite)
	service("DELETE /devices/{id}/commands", standard(h.purgeCloudMessages), registryWrite, serviceConnect)
	service("GET /twins/{id}", standard(h.getTwin), serviceConnect)
	service("PATCH /twins/{id}", standard(h.patchTwin), serviceConnect)
	service("PUT /twins/{id}", standard(h.patchTwin), serviceConnect)
	service("POST /twins/{id}/methods", standard(h.invokeMethod), serviceConnect)
	service("GET /statistics/devices", h.deviceStatistics, registryRead)
	service("GET /statistics/service", h.serviceStatistics, registryRead, serviceConnect)
	device("POST /devices/{id}/messages/events", h.postEvent)
	device("GET /devices/{id}/messages/devicebound", h.nextCloudMessage)
	device("DELETE /devices/{id}/messages/devicebound/{lock}", standard(h.completeCloudMessage))
	device("POST /devices/{id}/messages/devicebound/{lock}/abandon", standard(h.abandonCloudMessage))
	service("GET /messages/servicebound/feedback", h.receiveFeedback, serviceConnect)
	service("DELETE /messages/servicebound/feedback/{lock}", h.completeFeedback, serviceConnect)
	service("POST /messages/servicebound/feedback/{lock}/abandon", h.abandonFeedback, serviceConnect)
	h.absentRoutes(service, device)
	return calls
}

// Routes returns what is served over HTTPS, for example "GET /devices/{id}", and over MQTT, for example "PUBLISH
// {topic}" and "SUBSCRIBE {filter}".
func Routes() []string {
	list := (&Hubs{}).newCalls().Patterns()
	for _, s := range subscriptions("{id}") {
		list = append(list, "SUBSCRIBE "+s.filter)
	}
	for _, topic := range topics {
		list = append(list, "PUBLISH "+topic.prefix)
	}
	return append(list, "PUBLISH "+events("{id}"))
}

// serve finds the hub, checks the api-version and writes the error of a call.
func (h *Hubs) serve(w http.ResponseWriter, r *http.Request, call func(state.Hub) error) {
	host, _, _ := strings.Cut(r.Host, ":")
	hub, err := h.state.HubByHost(host)
	if err != nil {
		h.writeError(w, errNoHub)
		return
	}
	if err := checkVersion(r.URL.Query().Get("api-version")); err != nil {
		h.writeError(w, err)
		return
	}
	if err := call(hub); err != nil {
		h.writeError(w, err)
	}
}

var versionForm = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}(-preview)?$`)

// checkVersion accepts any date. Fidelity: the responses to a missing and to a malformed version are unsure.
func checkVersion(version string) error {
	switch {
	case version == "":
		return invalid("The api-version parameter is missing")
	case !versionForm.MatchString(version):
		return &wireError{400001, "InvalidProtocolVersion", "The api-version is not a date"}
	}
	return nil
}

// listDevices: Devices_GetDevices, 2021-04-12.
func (h *Hubs) listDevices(w http.ResponseWriter, r *http.Request, hub state.Hub) error {
	limit, err := pageSize("top", r.URL.Query().Get("top"))
	if err != nil {
		return err
	}
	devices, _, err := h.state.Devices(hub.Host(), "", limit)
	if err != nil {
		return err
	}
	waiting, err := h.state.CloudMessageCounts(hub.Host())
	if err != nil {
		return err
	}
	list := make([]deviceDocument, len(devices))
	for i, d := range devices {
		list[i] = newDeviceDocument(d, waiting[d.ID], false)
	}
	writeJSON(w, http.StatusOK, list)
	return nil
}

// pageSize parses a number of items. An empty number or one out of range means the maximum. Fidelity: that other text
// is refused is unsure.
func pageSize(name, text string) (int, error) {
	if text == "" {
		return maxPage, nil
	}
	n, err := strconv.Atoi(text)
	switch {
	case errors.Is(err, strconv.ErrSyntax):
		return 0, invalid("%s must be a whole number", name)
	case err != nil || n < 1 || n > maxPage:
		return maxPage, nil
	}
	return n, nil
}

// getDevice: Devices_GetIdentity, 2021-04-12.
func (h *Hubs) getDevice(w http.ResponseWriter, r *http.Request, hub state.Hub) error {
	d, err := h.state.Device(hub.Host(), r.PathValue("id"))
	if err != nil {
		return err
	}
	waiting, err := h.state.CloudMessages(hub.Host(), d.ID)
	if err != nil {
		return err
	}
	writeDevice(w, newDeviceDocument(d, len(waiting), false))
	return nil
}

// putDevice: Devices_CreateOrUpdateIdentity, 2021-04-12. Without If-Match the device must not exist.
func (h *Hubs) putDevice(w http.ResponseWriter, r *http.Request, hub state.Hub) error {
	var in deviceInput
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	etag := ifMatch(r)
	d, err := h.saveDevice(hub.Host(), r.PathValue("id"), in, etag, etag == "")
	if err != nil {
		return err
	}
	waiting, err := h.state.CloudMessages(hub.Host(), d.ID)
	if err != nil {
		return err
	}
	writeDevice(w, newDeviceDocument(d, len(waiting), etag == ""))
	return nil
}

// saveDevice creates or updates a device.
func (h *Hubs) saveDevice(host, id string, in deviceInput, etag string, create bool) (state.Device, error) {
	if !deviceIDForm.MatchString(id) {
		return state.Device{}, invalid("device id %q has a character that is not allowed, or more than 128", id)
	}
	before := state.Device{ID: id, Auth: state.AuthSAS}
	if !create {
		present, err := h.state.Device(host, id)
		if err != nil {
			return state.Device{}, err
		}
		before = present
	}
	wanted, err := in.apply(before)
	if err != nil {
		return state.Device{}, err
	}
	if wanted.ParentScope, err = h.parent(host, in.identityInput, wanted); err != nil {
		return state.Device{}, err
	}
	if wanted.Edge {
		if hub, err := h.state.HubByHost(host); err != nil || isBasic(hub) {
			return state.Device{}, cmp.Or(err, error(errTier))
		}
	}
	return h.state.PutDevice(host, wanted, etag, create)
}

// deleteDevice: Devices_DeleteIdentity, 2021-04-12. If-Match is optional.
func (h *Hubs) deleteDevice(w http.ResponseWriter, r *http.Request, hub state.Hub) error {
	if err := h.removeDevice(hub.Host(), r.PathValue("id"), ifMatch(r)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *Hubs) removeDevice(host, id, etag string) error {
	return h.state.DeleteDevice(host, id, etag)
}

func writeDevice(w http.ResponseWriter, d deviceDocument) {
	spell(w.Header(), headerETag, `"`+d.ETag+`"`)
	writeJSON(w, http.StatusOK, d)
}

// deviceStatistics: Statistics_GetDeviceStatistics, 2021-04-12.
func (h *Hubs) deviceStatistics(w http.ResponseWriter, _ *http.Request, hub state.Hub) error {
	n, err := h.state.Statistics(hub.Host())
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, struct {
		Total    int `json:"totalDeviceCount"`
		Enabled  int `json:"enabledDeviceCount"`
		Disabled int `json:"disabledDeviceCount"`
	}{n.Total, n.Enabled, n.Disabled})
	return nil
}

// serviceStatistics: Statistics_GetServiceStatistics, 2021-04-12.
func (h *Hubs) serviceStatistics(w http.ResponseWriter, _ *http.Request, hub state.Hub) error {
	n, err := h.state.Statistics(hub.Host())
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, struct {
		Connected int `json:"connectedDeviceCount"`
	}{n.Connected})
	return nil
}
