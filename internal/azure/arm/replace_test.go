package arm_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"evenkeel/internal/azure/arm"
)

func TestReplaceReturnsWhatWasWrittenAndWhatIsThereAtTheEnd(t *testing.T) {
	t.Parallel()
	client := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPut:
			w.Header().
				Set("Azure-AsyncOperation", "https://"+r.Host+"/operation?api-version="+
					r.URL.Query().Get("api-version"))
			w.Header().Set("retry-after-ms", "1")
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, `{"etag":"first","properties":{"n":12345678901234567890}}`)
		case r.URL.Path == "/operation":
			_, _ = io.WriteString(w, `{"status":"Succeeded"}`)
		default:
			_, _ = io.WriteString(w, `{"etag":"last","properties":{"n":1}}`)
		}
	})
	written, accepted, err := client.Replace(t.Context(), thing, map[string]any{})
	if err != nil || !accepted || string(written.First["properties"]) != `{"n":12345678901234567890}` ||
		string(written.Last["etag"]) != `"last"` {
		t.Errorf("got %s, %t, %v", written, accepted, err)
	}
}

func TestAListIsReadToItsLastPage(t *testing.T) {
	t.Parallel()
	var elsewhere string
	client := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("api-version") != thing.APIVersion {
			t.Errorf("got %s, want the same version on each page", r.URL)
		}
		next, page := "", r.URL.Query().Get("$skiptoken")
		switch {
		case elsewhere != "":
			next = elsewhere
		case page != "2":
			next = fmt.Sprintf(
				`,"nextLink":"https://%s%s?api-version=%s&$skiptoken=%d"`,
				r.Host,
				r.URL.Path,
				thing.APIVersion,
				len(page)+1,
			)
		}
		_, _ = fmt.Fprintf(w, `{"value":[{"page":%q}]%s}`, page, next)
	})
	all, err := client.List(t.Context(), thing)
	if err != nil || len(all) != 3 || string(all[2]) != `{"page":"2"}` {
		t.Errorf("got %s, %v, want three pages", all, err)
	}
	elsewhere = `,"nextLink":"https://elsewhere.invalid/x?api-version=2020-01-01"`
	if _, err := client.List(t.Context(), thing); err == nil || !strings.Contains(err.Error(), "another host") {
		t.Errorf("a link to another host: got %v, want a refusal, because the request carries a token", err)
	}
}

func TestVersionsThatAreNotServedAreRecognized(t *testing.T) {
	t.Parallel()
	const text = "No registered resource provider found for location 'northeurope' and API version '2022-02-05' for " +
		"type 'ProvisioningServices'. " +
		"The supported api-versions are '2018-01-22, 2020-01-01, 2021-10-15-Preview'. The supported locations are ', " +
		"northeurope'."
	for name, test := range map[string]struct {
		status        int
		code, message string
		named         string
		unserved      bool
	}{
		"where ARM knows the location": {400, "NoRegisteredProviderFound", text,
			"2018-01-22 2020-01-01 2021-10-15-preview", true},
		"where it does not": {404, "InvalidResourceType", "The supported api-versions are 'a,b'.", "a b",
			true},
		"without a list": {400, "InvalidApiVersionParameter", "The api-version is invalid.", "",
			true},
		"a resource that does not exist": {404, "ResourceNotFound", text, "", false},
		"a member of another version": {400, "400024", "Setting Ip Filter is not supported on this api-version.",
			"", false},
		"the same words with other status": {500, "NoRegisteredProviderFound", text, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("retry-after-ms", "1")
				w.WriteHeader(test.status)
				_, _ = fmt.Fprintf(w, `{"error":{"code":%q,"message":%q}}`, test.code, test.message)
			})
			named, unserved := arm.IsUnserved(client.Get(t.Context(), thing, &map[string]any{}))
			if got := strings.Join(named, " "); unserved != test.unserved || got != test.named {
				t.Errorf("got %t with %q, want %t with %q", unserved, got, test.unserved, test.named)
			}
		})
	}
}
