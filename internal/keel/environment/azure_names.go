package environment

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
)

// HubName implements Registrar (IotHubResource_CheckNameAvailability).
func (m *ResourceManager) HubName(ctx context.Context, name string) (taken string, err error) {
	path := runtime.JoinPaths(
		m.pipeline.Endpoint(),
		"subscriptions",
		m.subscription,
		"providers",
		namespace,
		"checkNameAvailability",
	)
	request, err := runtime.NewRequest(ctx, http.MethodPost, path)
	if err != nil {
		return "", err
	}
	request.Raw().URL.RawQuery = "api-version=" + usagesVersion
	body, err := json.Marshal(map[string]string{"name": name})
	if err != nil {
		return "", err
	}
	if err := request.SetBody(streaming.NopCloser(bytes.NewReader(body)), "application/json"); err != nil {
		return "", err
	}
	answer, err := m.pipeline.Pipeline().Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }()
	if !runtime.HasStatusCode(answer, http.StatusOK) {
		return "", runtime.NewResponseError(answer)
	}
	// reason is "Invalid" of free names too (recorded in Azure/azure-cli, test_hub_wait).
	var answered struct {
		NameAvailable *bool  `json:"nameAvailable"`
		Message       string `json:"message"`
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, 1<<20)).Decode(&answered); err != nil {
		return "", fmt.Errorf("read whether the name %s is available: %w", name, err)
	}
	if answered.NameAvailable == nil || *answered.NameAvailable {
		return "", nil
	}
	if answered.Message = strings.TrimSpace(answered.Message); answered.Message == "" {
		answered.Message = "it is not available"
	}
	return answered.Message, nil
}
