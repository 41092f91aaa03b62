package arm_test

import (
	"net/http"
	"strings"
	"testing"
)

// The operations are those of Tags_UpdateAtScope, 2025-04-01.
func TestTagsAreASeparateResource(t *testing.T) {
	t.Parallel()
	const tags = "/providers/Microsoft.Resources/tags/default?api-version=2025-04-01"
	for name, at := range map[string]string{
		"hub":     "/providers/Microsoft.Devices/IotHubs/hub-1",
		"service": "/providers/Microsoft.Devices/provisioningServices/dps-1", "group": "",
	} {
		t.Run(name, func(t *testing.T) {
			s := newSurface(t)
			s.inventory()
			for _, step := range []struct{ method, body, want string }{
				{"PUT", `{"properties":{"tags":{"stage":"test","team":"a"}}}`, `{"tags":{"stage":"test","team":"a"}}`},
				{"PATCH", `{"operation":"Merge","properties":{"tags":{"Stage":"live","cost":"1"}}}`,
					`{"tags":{"Stage":"live","cost":"1","team":"a"}}`},
				{"PATCH", `{"operation":"delete","properties":{"tags":{"cost":"2","TEAM":"a"}}}`,
					`{"tags":{"Stage":"live","cost":"1"}}`},
				{"GET", ``, `{"tags":{"Stage":"live","cost":"1"}}`},
				{"PATCH", `{"operation":"Replace","properties":{"tags":{"only":"one"}}}`, `{"tags":{"only":"one"}}`},
				{"DELETE", ``, ``},
				{"GET", ``, `"name":"default","type":"Microsoft.Resources/tags","properties":{"tags":{}}`},
			} {
				t.Run(step.method+" "+step.body, func(t *testing.T) {
					if status, body := s.call(step.method, at+tags, step.body); status != http.StatusOK ||
						!strings.Contains(body, step.want) {
						t.Errorf("%s: %s %s: got %d %s, want %s", name, step.method, step.body, status, body, step.want)
					}
				})
			}
			for _, body := range []string{`{"operation":"Swap","properties":{"tags":{}}}`,
				`{"operation":"Merge","properties":{"tags":{"a?b":"c"}}}`} {
				if status, answer := s.call("PATCH", at+tags, body); status != http.StatusBadRequest {
					t.Errorf("%s: %s: got %d %s, want 400", name, body, status, answer)
				}
			}
			if status, _ := s.call("GET", strings.Replace(at, "-1", "-9", 1)+"x"+tags, ""); name != "group" &&
				status != http.StatusNotFound {
				t.Errorf("%s that is not there: got %d, want 404", name, status)
			}
		})
	}
}
