package iothub

import (
	"net/http"

	"evenkeel/emulator/internal/state"
)

// getTwin: Devices_GetTwin, 2021-04-12.
func (h *Hubs) getTwin(w http.ResponseWriter, r *http.Request, hub state.Hub) error {
	return h.writeTwin(w, hub.Host(), r.PathValue("id"))
}

// patchTwin: Devices_UpdateTwin (PATCH merges) and Devices_ReplaceTwin (PUT replaces the parts it names), 2021-04-12.
// In a PATCH, null as desired properties or tags removes all of them (Azure/azure-iot-sdk-node,
// e2etests/test/twin_e2e_tests.js).
func (h *Hubs) patchTwin(w http.ResponseWriter, r *http.Request, hub state.Hub) error {
	var in twinInput
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	patch, err := in.patch(r.Method == http.MethodPut)
	if err != nil {
		return err
	}
	if r.Method == http.MethodPatch {
		patch.Tags, patch.Desired = nullOr(in.Tags, patch.Tags), nullOr(in.Properties.Desired, patch.Desired)
	}
	id := r.PathValue("id")
	if _, err := h.state.PatchTwin(hub.Host(), id, patch, ifMatch(r)); err != nil {
		return err
	}
	return h.writeTwin(w, hub.Host(), id)
}

// nullOr returns a part of a twin that was sent as null, and otherwise what was read from it.
func nullOr(sent, read []byte) []byte {
	if string(sent) == "null" {
		return sent
	}
	return read
}

func (h *Hubs) writeTwin(w http.ResponseWriter, host, id string) error {
	doc, err := h.twinDocument(host, id)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, doc)
	return nil
}

func (h *Hubs) twinDocument(host, id string) (twinDocument, error) {
	d, err := h.state.Device(host, id)
	if err != nil {
		return twinDocument{}, err
	}
	t, err := h.state.Twin(host, id)
	if err != nil {
		return twinDocument{}, err
	}
	waiting, err := h.state.CloudMessages(host, id)
	if err != nil {
		return twinDocument{}, err
	}
	return newTwinDocument(d, t, len(waiting)), nil
}
