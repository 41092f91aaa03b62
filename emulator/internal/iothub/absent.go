package iothub

import (
	"net/http"

	"evenkeel/emulator/internal/state"
)

// Modules, configurations, jobs, digital twins and file upload are not emulated. A hub responds as if it had none of
// them, and refuses to create one with 501, so that no caller believes that it was created. Fidelity: Azure has them
// all.

// Errors for what is not emulated. The names are those of ErrorCode in Microsoft.Azure.Devices; the number of
// errNoConfiguration is ours.
var (
	errNoModule        = &wireError{404010, "ModuleNotFound", "Unknown module: the emulator has no modules"}
	errNoConfiguration = &wireError{404011, "ConfigurationNotFound",
		"Unknown configuration: the emulator has no configurations"}
	errNoJob     = &wireError{404002, "JobNotFound", "Unknown job: the emulator has no jobs"}
	errNoStorage = &wireError{400000, "DefaultStorageEndpointNotConfigured", "The emulator has no file upload"}
)

func notEmulated(what string) error {
	return &wireError{501000, "NotImplemented", "The emulator has no " + what + ", see docs/reference/fidelity.md"}
}

// hubCall serves a call to a hub whose caller is authorized.
type hubCall func(http.ResponseWriter, *http.Request, state.Hub) error

// refuse returns a call that always fails with err.
func refuse(err error) hubCall {
	return func(http.ResponseWriter, *http.Request, state.Hub) error { return err }
}

// none responds with an empty list.
func none(w http.ResponseWriter, _ *http.Request, _ state.Hub) error {
	writeJSON(w, http.StatusOK, []struct{}{})
	return nil
}

// ofDevice refuses calls for devices that do not exist and passes the others to next.
func (h *Hubs) ofDevice(next hubCall) hubCall {
	return func(w http.ResponseWriter, r *http.Request, hub state.Hub) error {
		if _, err := h.state.Device(hub.Host(), r.PathValue("id")); err != nil {
			return err
		}
		return next(w, r, hub)
	}
}

// absentRoutes registers the calls of 2021-04-12 for features that are not emulated.
func (h *Hubs) absentRoutes(service, device func(pattern string, serve hubCall, rights ...string)) {
	service("GET /devices/{id}/modules", h.ofDevice(none), registryRead)
	service("PUT /devices/{id}/modules/{module}", h.ofDevice(refuse(notEmulated("modules"))), registryWrite)
	service("GET /devices/{id}/modules/{module}", h.ofDevice(refuse(errNoModule)), registryRead)
	service("DELETE /devices/{id}/modules/{module}", h.ofDevice(refuse(errNoModule)), registryWrite)
	for _, method := range []string{"GET", "PATCH", "PUT"} {
		service(method+" /twins/{id}/modules/{module}", h.ofDevice(refuse(errNoModule)), serviceConnect)
	}
	service("POST /twins/{id}/modules/{module}/methods", h.ofDevice(refuse(errNoModule)), serviceConnect)

	service("GET /configurations", none, registryRead)
	service("GET /configurations/{id}", refuse(errNoConfiguration), registryRead)
	service("PUT /configurations/{id}", refuse(notEmulated("configurations")), registryWrite)
	service("DELETE /configurations/{id}", refuse(errNoConfiguration), registryWrite)
	service("POST /configurations/testqueries", refuse(notEmulated("configurations")), registryRead)
	service("POST /devices/{id}/applyconfigurationcontent", h.ofDevice(refuse(notEmulated("configurations"))),
		registryWrite)

	service("GET /jobs", none, registryRead)
	service("POST /jobs/create", refuse(notEmulated("jobs")), registryWrite)
	service("GET /jobs/{id}", refuse(errNoJob), registryRead)
	service("DELETE /jobs/{id}", refuse(errNoJob), registryWrite)
	service("GET /jobs/v2/query", none, serviceConnect)
	service("PUT /jobs/v2/{id}", refuse(notEmulated("jobs")), serviceConnect)
	service("GET /jobs/v2/{id}", refuse(errNoJob), serviceConnect)
	service("POST /jobs/v2/{id}/cancel", refuse(errNoJob), serviceConnect)

	digital := h.ofDevice(refuse(notEmulated("digital twins")))
	for _, call := range []string{"GET /digitaltwins/{id}", "PATCH /digitaltwins/{id}",
		"POST /digitaltwins/{id}/commands/{command}",
		"POST /digitaltwins/{id}/components/{component}/commands/{command}"} {
		service(call, digital, serviceConnect)
	}

	// The SDK for C ends these paths with a slash.
	for _, path := range []string{"/files", "/files/notifications", "/files/notifications/{correlation}"} {
		device("POST /devices/{id}"+path, refuse(errNoStorage))
		device("POST /devices/{id}"+path+"/{$}", refuse(errNoStorage))
	}
}
