package control

import (
	"errors"
	"io"
	"net/http"
	"time"

	"evenkeel/emulator/internal/documents"
	"evenkeel/emulator/internal/routes"
	"evenkeel/emulator/internal/state"
)

// maxSeed is the size in bytes of the largest accepted snapshot: one of a million enrollments.
const maxSeed = 2 << 30

// Snapshots manages the named snapshots of an emulator.
type Snapshots interface {
	Save(name string) error
	Restore(name string) error
	Open(name string) (io.ReadCloser, error)
	Delete(name string) error
	List() ([]documents.Entry, error)
	// Seed replaces the state with the snapshot from r.
	Seed(r io.Reader) error
}

func (s surface) routeSnapshots(mux *routes.Mux) {
	mux.HandleFunc("GET /snapshots", s.listSnapshots)
	mux.HandleFunc("GET /snapshots/{name}", s.getSnapshot)
	mux.HandleFunc("PUT /snapshots/{name}", s.named(Snapshots.Save))
	mux.HandleFunc("DELETE /snapshots/{name}", s.named(Snapshots.Delete))
	mux.HandleFunc("POST /snapshots/{name}/restore", s.named(Snapshots.Restore))
	mux.HandleFunc("POST /seed", s.seed)
}

// listSnapshots returns the names, sizes and dates of the snapshots.
func (s surface) listSnapshots(w http.ResponseWriter, _ *http.Request) {
	entries, err := s.Snapshots.List()
	if err != nil {
		writeError(w, http.StatusInternalServerError, err)
		return
	}
	writeJSON(w, http.StatusOK, entries)
}

// named handles a call about one snapshot: save, restore, delete.
func (s surface) named(do func(of Snapshots, name string) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		removeTimeouts(w)
		if err := do(s.Snapshots, r.PathValue("name")); err != nil {
			writeError(w, statusOf(err), err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

// getSnapshot returns the document. It contains keys.
func (s surface) getSnapshot(w http.ResponseWriter, r *http.Request) {
	f, err := s.Snapshots.Open(r.PathValue("name"))
	if err != nil {
		writeError(w, statusOf(err), err)
		return
	}
	defer f.Close()
	removeTimeouts(w)
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.Copy(w, f) // an error here means that the client has disconnected
}

// seed replaces everything with the snapshot in the body.
func (s surface) seed(w http.ResponseWriter, r *http.Request) {
	removeTimeouts(w)
	if err := s.Snapshots.Seed(http.MaxBytesReader(w, r.Body, maxSeed)); err != nil {
		writeError(w, statusOf(err), err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// removeTimeouts removes the server's timeouts from a request that may take long.
func removeTimeouts(w http.ResponseWriter) {
	deadlines := http.NewResponseController(w)
	_ = deadlines.SetReadDeadline(time.Time{}) // an error means that there are no timeouts
	_ = deadlines.SetWriteDeadline(time.Time{})
}

func statusOf(err error) int {
	refusal := (*state.Error)(nil)
	switch {
	case errors.Is(err, documents.ErrAbsent):
		return http.StatusNotFound
	case errors.Is(err, documents.ErrName), errors.As(err, &refusal) && refusal.Kind == state.Invalid:
		return http.StatusBadRequest
	}
	return http.StatusInternalServerError
}
