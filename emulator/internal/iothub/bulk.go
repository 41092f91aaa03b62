package iothub

import (
	"cmp"
	"maps"
	"net/http"
	"strings"

	"evenkeel/emulator/internal/state"
)

// maxBulk is the largest number of devices in one request. Source: BulkRegistry_UpdateRegistry, 2021-04-12.
const maxBulk = 100

// bulkEntry is one operation of a bulk request.
type bulkEntry struct {
	ID         string `json:"id"`
	ModuleID   string `json:"moduleId"`
	ETag       string `json:"eTag"`
	ImportMode string `json:"importMode"`
	TwinETag   string `json:"twinETag"`
	identityInput
	twinInput
}

type bulkError struct {
	DeviceID    string `json:"deviceId"`
	ErrorCode   string `json:"errorCode"`
	ErrorStatus string `json:"errorStatus"`
}

// bulk: BulkRegistry_UpdateRegistry, 2021-04-12. Entries are processed in order; the status is 400 if any of them
// failed. Fidelity: an entry that creates a device with a twin creates the twin in a second step, so that its
// versions are one higher.
func (h *Hubs) bulk(w http.ResponseWriter, r *http.Request, hub state.Hub) error {
	var entries []bulkEntry
	if err := readJSON(w, r, &entries); err != nil {
		return err
	}
	if len(entries) == 0 || len(entries) > maxBulk {
		return invalid("A bulk request has 1 to %d devices, not %d", maxBulk, len(entries))
	}
	failed := []bulkError{}
	twice := repeated(entries)
	for _, e := range entries {
		if key := [2]string{e.ID, e.ModuleID}; twice[key] > 0 {
			if twice[key]--; twice[key] == 0 {
				failed = append(failed, bulkError{e.ID, errRepeated.code, errRepeated.text})
			}
			continue
		}
		if err := h.bulkOne(hub.Host(), e); err != nil {
			refusal, fault := wire(err)
			if fault {
				h.log.Error("bulk registry operation failed", "hub", hub.Host(), "device", e.ID, "error", err)
			}
			failed = append(failed, bulkError{e.ID, refusal.code, refusal.text})
		}
	}
	answer := struct {
		IsSuccessful bool        `json:"isSuccessful"`
		Errors       []bulkError `json:"errors"`
		Warnings     []struct{}  `json:"warnings"`
	}{len(failed) == 0, failed, []struct{}{}}
	status := http.StatusOK
	if len(failed) > 0 {
		status = http.StatusBadRequest
	}
	writeJSON(w, status, answer)
	return nil
}

// errRepeated refuses an identity that a bulk request names more than once. The name is in the description of
// 2021-04-12; the number is ours and is not sent. Fidelity: that the other entries are processed is unsure.
var errRepeated = &wireError{400000, "DeviceDefinedMultipleTimes", "The request names the device more than once"}

// repeated counts the entries of devices and modules that have more than one.
func repeated(entries []bulkEntry) map[[2]string]int {
	counts := map[[2]string]int{}
	for _, e := range entries {
		counts[[2]string{e.ID, e.ModuleID}]++
	}
	maps.DeleteFunc(counts, func(_ [2]string, n int) bool { return n == 1 })
	return counts
}

func (h *Hubs) bulkOne(host string, e bulkEntry) error {
	if e.ModuleID != "" {
		return notEmulated("modules")
	}
	device := deviceInput{identityInput: e.identityInput}
	switch strings.ToLower(e.ImportMode) {
	case "create":
		patch, err := e.patch(true)
		if err != nil {
			return err
		}
		if _, err := h.saveDevice(host, e.ID, device, "", true); err != nil {
			return err
		}
		if patch.Tags == nil && patch.Desired == nil {
			return nil
		}
		_, err = h.state.PatchTwin(host, e.ID, patch, state.Unconditional)
		return err
	case "update":
		return h.bulkSave(host, e.ID, device, state.MustExist)
	case "updateifmatchetag":
		return h.bulkSave(host, e.ID, device, required(e.ETag))
	case "delete":
		return h.removeDevice(host, e.ID, state.Unconditional)
	case "deleteifmatchetag":
		return h.removeDevice(host, e.ID, required(e.ETag))
	case "updatetwin":
		return h.bulkTwin(host, e, state.MustExist)
	case "updatetwinifmatchetag":
		return h.bulkTwin(host, e, required(e.TwinETag))
	}
	return invalid("unknown importMode %q", e.ImportMode)
}

// required returns the etag for a mode that compares etags: an entry without one matches nothing. Fidelity: unsure.
func required(etag string) string { return cmp.Or(etag, "none") }

func (h *Hubs) bulkSave(host, id string, in deviceInput, etag string) error {
	_, err := h.saveDevice(host, id, in, etag, false)
	return err
}

func (h *Hubs) bulkTwin(host string, e bulkEntry, etag string) error {
	patch, err := e.patch(false)
	if err != nil {
		return err
	}
	_, err = h.state.PatchTwin(host, e.ID, patch, etag)
	return err
}
