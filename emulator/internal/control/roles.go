package control

import (
	"errors"
	"net/http"
)

// rolesAnswer reports whether a managed identity needs a role at the hubs that its service is linked to.
type rolesAnswer struct {
	Required bool `json:"required"`
}

func (s surface) getRoles(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, rolesAnswer{s.State.RequiresRoles()})
}

// putRoles turns the check of roles on or off.
func (s surface) putRoles(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Required *bool `json:"required"`
	}
	if !readJSON(w, r, &body) {
		return
	}
	if body.Required == nil {
		writeError(w, http.StatusBadRequest, errors.New("required must be true or false"))
		return
	}
	s.State.RequireRoles(*body.Required)
	s.getRoles(w, r)
}
