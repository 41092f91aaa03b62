package environment_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	azcloud "github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	azfake "github.com/Azure/azure-sdk-for-go/sdk/azcore/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"evenkeel/internal/hint"
	"evenkeel/internal/keel/environment"
)

// refusal is an answer of Azure to a deletion.
type refusal struct {
	status int
	body   string
}

// manager is a Resource Manager that rejects deletions with the refusals in order, repeating the last one, and that
// lists locks.
type manager struct {
	mu       sync.Mutex
	refusals []refusal
	locks    string
	tried    int
}

func (m *manager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if strings.HasSuffix(r.URL.Path, "/providers/Microsoft.Authorization/locks") {
		if m.locks == "" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		fmt.Fprint(w, m.locks)
		return
	}
	if r.Method != http.MethodDelete {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	next := m.refusals[min(m.tried, len(m.refusals)-1)]
	m.tried++
	w.WriteHeader(next.status)
	fmt.Fprint(w, next.body)
}

// azureOf returns a client of a manager that retries every millisecond.
func azureOf(t *testing.T, m *manager) *environment.ResourceManager {
	t.Helper()
	server := httptest.NewTLSServer(m)
	t.Cleanup(server.Close)
	options := &arm.ClientOptions{DisableRPRegistration: true, ClientOptions: policy.ClientOptions{
		Transport: server.Client(), Retry: policy.RetryOptions{MaxRetries: -1},
		Cloud: azcloud.Configuration{Services: map[azcloud.ServiceName]azcloud.ServiceConfiguration{
			azcloud.ResourceManager: {Endpoint: server.URL, Audience: "https://management.azure.com"},
		}},
	}}
	azure, err := environment.NewResourceManager("0", &azfake.TokenCredential{}, options, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	return azure
}

const (
	notActive  = `{"code":409002,"httpStatusCode":"Conflict","message":"Try the request again after it is in Active state. errorcode: IH409002."}`
	beingGone  = `{"error":{"code":"ResourceGroupBeingDeleted","message":"The resource group 'mine' is in deprovisioning state."}}`
	inProgress = `{"error":{"code":"AnotherOperationInProgress","message":"Another operation on this resource is in progress."}}`
	locked     = `{"error":{"code":"ScopeLocked","message":"The scope '/subscriptions/0/resourceGroups/mine' cannot perform delete operation because ` +
		`following scope(s) are locked: '/subscriptions/0/resourceGroups/mine'. Please remove the lock and try again."}}`
	ofGroup = "/subscriptions/0/resourceGroups/mine/providers/Microsoft.Authorization/locks/keep-it"
)

func TestOnlyTransitionsAreWaitedFor(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		refusals []refusal
		tries    int
		want     string // in the error; "" for none
	}{
		"a hub that is being made": {[]refusal{{409, notActive}, {409, notActive},
			{404, `{"error":{"code":"ResourceNotFound"}}`}}, 3, ""},
		"a group that is being deleted": {[]refusal{{409, beingGone},
			{404, `{"error":{"code":"ResourceGroupNotFound"}}`}}, 2, ""},
		"an operation of another client": {[]refusal{{409, inProgress}, {404, "{}"}}, 2, ""},
		"a lock":                         {[]refusal{{409, locked}}, 1, "prevents it"},
		"a name in use": {[]refusal{{409, `{"error":{"code":"Conflict","message":"in use"}}`}}, 1,
			"Conflict"},
		"a number that we do not know": {[]refusal{{409, `{"code":409001,"message":"taken"}`}}, 1, "409"},
		"no code":                      {[]refusal{{409, "busy"}}, 1, "409"},
		"no permission": {[]refusal{{403, `{"error":{"code":"AuthorizationFailed"}}`}}, 1,
			"AuthorizationFailed"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, id := range []string{orphan, subscription + "mine"} {
				t.Run(id, func(t *testing.T) {
					m := &manager{refusals: tc.refusals}
					azure := azureOf(t, m)
					var notices []string
					azure.Notice = func(text string) { notices = append(notices, text) }
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					err := azure.Delete(ctx, id)
					cancel()
					if tc.want == "" && err != nil || tc.want != "" &&
						(err == nil || !strings.Contains(err.Error(), tc.want)) {
						t.Errorf("%s, %s: got %v, want %q", name, id, err, tc.want)
					}
					if m.tried != tc.tries || (len(notices) == 1) != (tc.tries > 1) {
						t.Errorf("%s, %s: got %d tries and notices %q, want %d and a notice about waiting", name, id,
							m.tried, notices, tc.tries)
					}
				})
			}
		})
	}
}

func TestWaitingForATransitionTimesOut(t *testing.T) {
	t.Parallel()
	m := &manager{refusals: []refusal{{409, notActive}}}
	azure := azureOf(t, m)
	azure.Patience = 20 * time.Millisecond
	// How many tries fit into the time depends on the machine; the test above counts them.
	if err := azure.Delete(t.Context(), orphan); err == nil || !strings.Contains(err.Error(), "in transition for") ||
		hint.Of(err) == "" || m.tried < 1 {
		t.Errorf("got %v after %d tries, want an error with a hint", err, m.tried)
	}
	azure.Patience = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	azure.Notice = func(string) { cancel() }
	if err := azure.Delete(ctx, orphan); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: got %v", err)
	}
}

func TestALockErrorHintsAtTheCommandThatRemovesIt(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ locks, said, advice string }{
		"locks that may be seen": {`{"value":[{"id":"` + ofGroup + `","properties":{"level":"CanNotDelete"}}]}`,
			ofGroup, "az lock delete --ids " + ofGroup},
		"locks that may not": {"", "a lock on /subscriptions/0/resourceGroups/mine prevents it",
			"az rest --url '/subscriptions/0/resourceGroups/mine/providers/"},
	} {
		t.Run(name, func(t *testing.T) {
			azure := azureOf(t, &manager{refusals: []refusal{{409, locked}}, locks: tc.locks})
			for _, id := range []string{subscription + "mine", orphan} {
				t.Run(id, func(t *testing.T) {
					err := azure.Delete(t.Context(), id)
					if err == nil || !strings.Contains(err.Error(), tc.said) ||
						!strings.Contains(hint.Of(err), tc.advice) {
						t.Errorf("%s: got %v, hint %q, want %q and %q", name, err, hint.Of(err), tc.said, tc.advice)
					}
				})
			}
		})
	}
}

// TestAnErrorOfPulumiAboutALockIsExplained: a destroy fails because of it.
func TestAnErrorOfPulumiAboutALockIsExplained(t *testing.T) {
	t.Parallel()
	e, folder := remote(t)
	write(
		t,
		folder+"/complaint",
		"error: deleting urn: Status=409 Code=\"ScopeLocked\" Message=\"The scope 'x' cannot perform delete "+
			"operation because "+
			"following scope(s) are locked: '/subscriptions/0/resourceGroups/mine', '/subscriptions/0'. Please "+
			"remove the lock and try again.\"\n",
	)
	err := e.Operate(t.Context(), nil, "up", "--yes")
	if err == nil || !slices.ContainsFunc(strings.Split(hint.Of(err), "'"), func(s string) bool {
		return strings.HasPrefix(s, "/subscriptions/0/resourceGroups/mine/providers/Microsoft.Authorization/locks")
	}) {
		t.Errorf("got %v, hint %q, want the lock's scope", err, hint.Of(err))
	}
}
