//go:build acceptance

package acceptance_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/rogpeppe/go-internal/testscript"

	"evenkeel/internal/await"
	"evenkeel/internal/keel/environment"
)

// hubData is the definition of the role IoT Hub Data Contributor.
const hubData = "/providers/Microsoft.Authorization/roleDefinitions/4fc6c259-987e-4a07-842e-c321cc9d413f"

// callARM: arm METHOD PATH [BODY] — calls the emulator's Resource Manager as another tool does, and fails unless it
// answers 2xx.
func callARM(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: arm METHOD PATH [BODY]")
	}
	var answer map[string]any
	ts.Check(atARM(args[0], args[1], strings.Join(args[2:], ""), &answer))
	_, _ = fmt.Fprintln(ts.Stdout(), answer)
}

// grantHubs: granthubs SERVICE SCOPE — gives the service's system-assigned identity the role that linked hubs need.
func grantHubs(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: granthubs SERVICE SCOPE")
	}
	var service struct {
		Identity struct {
			PrincipalID string `json:"principalId"`
		} `json:"identity"`
	}
	ts.Check(atARM(http.MethodGet, args[0]+"?api-version=2026-08-31", "", &service))
	ts.Check(atARM(http.MethodPut, args[1]+"/providers/Microsoft.Authorization/roleAssignments/"+
		"11111111-2222-3333-4444-555555555555?api-version=2022-04-01", fmt.Sprintf(
		`{"properties":{"roleDefinitionId":%q,"principalId":%q,"principalType":"ServicePrincipal"}}`, hubData,
		service.Identity.PrincipalID), nil))
}

// atARM sends one request, whose path holds its api-version.
func atARM(method, path, body string, into any) error {
	endpoints, err := endpointsOf(checkout)
	if err != nil {
		return err
	}
	credential, options, err := environment.Client(endpoints)
	if err != nil {
		return err
	}
	client, err := arm.NewClient("acceptance", "v0.0.0", credential, &arm.ClientOptions{ClientOptions: options,
		DisableRPRegistration: true})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), await.Limit)
	defer cancel()
	request, err := runtime.NewRequest(ctx, method, client.Endpoint()+path)
	if err != nil {
		return err
	}
	if body != "" {
		if err := request.SetBody(readSeekNopCloser{strings.NewReader(body)}, "application/json"); err != nil {
			return err
		}
	}
	response, err := client.Pipeline().Do(request)
	if err != nil {
		return err
	}
	if !runtime.HasStatusCode(response, http.StatusOK, http.StatusCreated, http.StatusAccepted, http.StatusNoContent) {
		return runtime.NewResponseError(response)
	}
	if into == nil || response.StatusCode == http.StatusNoContent {
		return nil
	}
	return runtime.UnmarshalAsJSON(response, into)
}

// readSeekNopCloser is a body that needs no closing.
type readSeekNopCloser struct{ *strings.Reader }

func (readSeekNopCloser) Close() error { return nil }
