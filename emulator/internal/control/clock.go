package control

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"evenkeel/emulator/internal/routes"
)

func (s surface) routeClock(mux *routes.Mux) {
	mux.HandleFunc("GET /clock", s.getClock)
	mux.HandleFunc("PUT /clock", s.putClock)
	mux.HandleFunc("DELETE /clock", s.restoreClock)
}

// clockAnswer is the time of the emulated cloud and its offset from the machine's clock.
type clockAnswer struct {
	Now    time.Time `json:"now"`
	Offset string    `json:"offset"`
}

func (s surface) getClock(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, clockAnswer{s.Clock.Now(), s.Clock.Offset().Round(time.Millisecond).String()})
}

// putClock sets the clock ({"now": RFC 3339}) or moves it ({"advance": a duration such as "24h" or "-5m"}). The clock
// continues from there.
func (s surface) putClock(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Now     *time.Time `json:"now"`
		Advance *string    `json:"advance"`
	}
	if !readJSON(w, r, &body) {
		return
	}
	switch {
	case (body.Now == nil) == (body.Advance == nil):
		writeError(w, http.StatusBadRequest, errors.New("give either now or advance"))
		return
	case body.Now != nil:
		if year := body.Now.UTC().Year(); year < minYear || year > maxYear {
			writeError(w, http.StatusBadRequest, fmt.Errorf("now: the year is %d to %d", minYear, maxYear))
			return
		}
		s.Clock.Set(*body.Now)
	default:
		d, err := time.ParseDuration(*body.Advance)
		if err != nil {
			writeError(w, http.StatusBadRequest, fmt.Errorf("advance=%q is not a duration, as 24h or -5m",
				*body.Advance))
			return
		}
		if year := s.Clock.Now().Add(d).Year(); year < minYear || year > maxYear {
			writeError(w, http.StatusBadRequest, fmt.Errorf("advance=%q leaves the years %d to %d", *body.Advance,
				minYear, maxYear))
			return
		}
		s.Clock.Move(d)
	}
	s.getClock(w, r)
}

// Years to which the clock can be set. The store cannot represent other times.
const minYear, maxYear = 1970, 2200

func (s surface) restoreClock(w http.ResponseWriter, r *http.Request) {
	s.Clock.Restore()
	s.getClock(w, r)
}
