package routes_test

import (
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"evenkeel/emulator/internal/routes"
)

type match struct {
	pattern    string
	values     map[string]string
	allowed    []string
	incomplete bool
}

func table(form routes.Table[int]) *routes.Table[int] {
	for i, pattern := range []string{
		"GET /things/{id}", "PUT /things/{id}", "POST /things/query", "POST /things", "GET /things/{$}",
		"PUT /{scope}/devices/{id}/register", "GET /files/{rest...}", "HEAD /things/{id}/size", "/any/{$}",
	} {
		form.Add(pattern, i)
	}
	return &form
}

func TestFind(t *testing.T) {
	t.Parallel()
	none := map[string]string{}
	thing := func(id string) map[string]string { return map[string]string{"id": id} }
	for _, test := range []struct {
		name         string
		form         routes.Table[int]
		method, path string
		want         match
	}{
		{"a variable", routes.Table[int]{}, "GET", "/things/A", match{pattern: "GET /things/{id}", values: thing("A")}},
		{"an escaped slash", routes.Table[int]{}, "GET", "/things/a%2Fb",
			match{pattern: "GET /things/{id}", values: thing("a/b")}},
		{"a word and a variable", routes.Table[int]{}, "POST", "/things/query", match{pattern: "POST /things/query",
			values: none}},
		{"a method that only the variable has", routes.Table[int]{}, "GET", "/things/query",
			match{pattern: "GET /things/{id}", values: thing("query")}},
		{"the same, path first", routes.Table[int]{PathFirst: true}, "GET", "/things/query",
			match{allowed: []string{"POST"}}},
		{"another letter case", routes.Table[int]{}, "GET", "/Things/A", match{}},
		{"any letter case", routes.Table[int]{AnyCase: true}, "GET", "/Things/A",
			match{pattern: "GET /things/{id}", values: thing("A")}},
		{"a slash at the end", routes.Table[int]{}, "GET", "/things/", match{pattern: "GET /things/{$}", values: none}},
		{"no slash at the end", routes.Table[int]{}, "GET", "/things", match{allowed: []string{"POST"}}},
		{"a slash after a variable", routes.Table[int]{}, "GET", "/things/a/", match{}},
		{"an empty variable", routes.Table[int]{}, "PUT", "//devices/d/register", match{}},
		{"another method", routes.Table[int]{}, "DELETE", "/things/a", match{allowed: []string{"GET", "PUT"}}},
		{"HEAD", routes.Table[int]{}, "HEAD", "/things/a", match{allowed: []string{"GET", "PUT"}}},
		{"HEAD by GET", routes.Table[int]{HeadByGet: true}, "HEAD", "/things/a",
			match{pattern: "GET /things/{id}", values: thing("a")}},
		{"an operation for HEAD", routes.Table[int]{HeadByGet: true}, "HEAD", "/things/a/size",
			match{pattern: "HEAD /things/{id}/size", values: thing("a")}},
		{"the rest of a path", routes.Table[int]{}, "GET", "/files/a/b/", match{pattern: "GET /files/{rest...}",
			values: map[string]string{"rest": "a/b/"}}},
		{"no rest", routes.Table[int]{}, "GET", "/files", match{pattern: "GET /files/{rest...}",
			values: map[string]string{"rest": ""}}},
		{"any method", routes.Table[int]{}, "BREW", "/any/", match{pattern: "/any/{$}", values: none}},
		{"a path that stops before a variable", routes.Table[int]{}, "PUT", "/s/devices", match{incomplete: true}},
		{"a path that ends before a word", routes.Table[int]{}, "PUT", "/s/devices/d", match{}},
		{"a longer path", routes.Table[int]{}, "PUT", "/s/devices/d/register/now", match{}},
		{"the root", routes.Table[int]{}, "GET", "/", match{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			found := table(test.form).Find(test.method,
				routes.Decoded(httptest.NewRequest(test.method, test.path, nil).URL))
			got := match{found.Pattern, found.Values, found.Allowed, found.Incomplete}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(match{})); diff != "" {
				t.Errorf("%s %s (-want +got):\n%s", test.method, test.path, diff)
			}
			if got.pattern != "" && table(test.form).Patterns()[found.Serve] != got.pattern {
				t.Errorf("got what serves pattern %d, want that of %s", found.Serve, got.pattern)
			}
		})
	}
}

func TestAddPanicsOnADuplicatePattern(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("got no panic for GET /things/{name} beside GET /things/{id}")
		}
	}()
	table(routes.Table[int]{}).Add("GET /things/{name}", 0)
}
