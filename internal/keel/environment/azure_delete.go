package environment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"evenkeel/internal/hint"
)

// programVersions are the api-versions of azure-native 2.92.3, with which the program writes its resources and recovery
// deletes what it finds.
var programVersions = map[string]string{
	"microsoft.devices/iothubs":              "2022-04-30-preview",
	"microsoft.devices/provisioningservices": "2022-12-12",
}

const (
	// transitionPatience is how long a deletion waits for a resource in transition: creating a hub takes minutes, and a
	// failover "2 to 15 minutes" (learn.microsoft.com/azure/iot-hub/iot-hub-ha-dr).
	transitionPatience = 20 * time.Minute
	// deletePatience is how long one deletion may take once Azure has accepted it.
	deletePatience = time.Hour
)

// transitions are the codes of a 409 that passes with time. Any other 409 needs an action of the user.
var transitions = []string{
	// hub or provisioning service not Active (microsoft/vscode 68251, Azure/azure-powershell 16842)
	"409002",
	"ResourceGroupBeingDeleted",  // ends as "not found"
	"AnotherOperationInProgress", // Resource Manager: another operation is updating the resource
}

// scopeLocked is the code of a 409 for a scope with a lock (hashicorp/terraform-provider-azurerm 17478).
const scopeLocked = "ScopeLocked"

// Delete implements Cloud. It waits for a resource that is still being created or changed; any other conflict is an
// error at once.
func (m *ResourceManager) Delete(ctx context.Context, id string) error {
	deadline, noticed := time.Now().Add(m.Patience), false
	for {
		err := m.delete(ctx, id)
		answer := (*azcore.ResponseError)(nil)
		if !errors.As(err, &answer) {
			return err
		}
		code := codeOf(answer)
		switch {
		case answer.StatusCode == http.StatusNotFound:
			return nil
		case code == scopeLocked:
			return m.explainLock(ctx, id, err)
		case answer.StatusCode != http.StatusConflict || !slices.Contains(transitions, code):
			return err
		case time.Now().After(deadline):
			return hint.To(fmt.Errorf("it has been in transition for %s: %w", m.Patience, err),
				"see its state with: az resource show --ids %s --query properties", id)
		}
		if !noticed && m.Notice != nil {
			m.Notice(fmt.Sprintf("%s is in transition (%s); waiting for it", id, code))
			noticed = true
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(m.retry):
		}
	}
}

// codeOf returns the code of an error: Resource Manager's is a text, that of Microsoft.Devices a number, which the SDK
// ignores.
func codeOf(answer *azcore.ResponseError) string {
	if answer.ErrorCode != "" || answer.RawResponse == nil {
		return answer.ErrorCode
	}
	text, err := runtime.Payload(answer.RawResponse)
	var body struct {
		Code json.Number `json:"code"`
	}
	if err != nil || json.Unmarshal(text, &body) != nil {
		return ""
	}
	return body.Code.String()
}

// lockedScopes finds the scopes in Resource Manager's message about locks.
var lockedScopes = regexp.MustCompile(`following scope\(s\) are locked: ('[^']+'(?:, ?'[^']+')*)`)

// explainLock adds to an error the locks that prevent the deletion of a resource, and how to remove them.
func (m *ResourceManager) explainLock(ctx context.Context, id string, err error) error {
	scopes := scopesIn(err.Error())
	if scopes == nil {
		scopes = []string{id}
	}
	var locks []string
	for _, scope := range scopes {
		locks = append(locks, m.locks(ctx, scope)...)
	}
	if locks == nil {
		return hint.To(
			fmt.Errorf("a lock on %s prevents it: %w", strings.Join(scopes, ", "), err),
			"%s",
			lockHint(scopes[0]),
		)
	}
	return hint.To(
		fmt.Errorf("the lock %s prevents it: %w", strings.Join(locks, ", "), err),
		"az lock delete --ids %s",
		strings.Join(locks, " "),
	)
}

// scopesIn returns the scopes that a message of Resource Manager calls locked.
func scopesIn(message string) []string {
	match := lockedScopes.FindStringSubmatch(message)
	if match == nil {
		return nil
	}
	var scopes []string
	for _, quoted := range strings.Split(match[1], ",") {
		scopes = append(scopes, strings.Trim(strings.TrimSpace(quoted), "'"))
	}
	return scopes
}

// lockHint returns a hint on how to find and remove the lock of a scope whose locks are unknown.
func lockHint(scope string) string {
	return fmt.Sprintf(
		"find the lock with: az rest --url '%s/providers/Microsoft.Authorization/locks?api-version=%s' --query "+
			"value[].id; "+
			"remove it with: az lock delete --ids ID",
		scope,
		locksVersion,
	)
}

// locksVersion is the api-version with which locks are listed.
const locksVersion = "2016-09-01"

// locks returns the ids of the locks that apply to a scope; none if the caller may not list them.
func (m *ResourceManager) locks(ctx context.Context, scope string) []string {
	request, err := runtime.NewRequest(
		ctx,
		http.MethodGet,
		runtime.JoinPaths(m.pipeline.Endpoint(), scope, "providers/Microsoft.Authorization/locks"),
	)
	if err != nil {
		return nil
	}
	request.Raw().URL.RawQuery = "api-version=" + locksVersion
	answer, err := m.pipeline.Pipeline().Do(request)
	if err != nil {
		return nil
	}
	defer func() { _ = answer.Body.Close() }()
	var list struct {
		Value []struct {
			ID string `json:"id"`
		} `json:"value"`
	}
	if answer.StatusCode != http.StatusOK || runtime.UnmarshalAsJSON(answer, &list) != nil {
		return nil
	}
	var ids []string
	for _, lock := range list.Value {
		ids = append(ids, lock.ID)
	}
	return ids
}

func (m *ResourceManager) delete(ctx context.Context, text string) error {
	id, err := arm.ParseResourceID(text)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(
		ctx,
		deletePatience,
		fmt.Errorf("the deletion takes longer than %s", deletePatience),
	)
	defer cancel()
	wait := &runtime.PollUntilDoneOptions{
		Frequency: time.Second,
	} // azcore's minimum; retry-after-ms may shorten it
	if strings.EqualFold(id.ResourceType.String(), "Microsoft.Resources/resourceGroups") {
		poller, err := m.groups.BeginDelete(ctx, id.ResourceGroupName, nil)
		if err == nil {
			_, err = poller.PollUntilDone(ctx, wait)
		}
		return withCause(ctx, err)
	}
	version, err := m.version(ctx, id.ResourceType)
	if err != nil {
		return err
	}
	poller, err := m.resources.BeginDeleteByID(ctx, text, version, nil)
	if err == nil {
		_, err = poller.PollUntilDone(ctx, wait)
	}
	return withCause(ctx, err)
}

// withCause adds the cause of a context's end to an error, if the context has ended.
func withCause(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return err
}

// version returns an api-version with which a resource type can be deleted. It asks Azure about types that the program
// never creates.
func (m *ResourceManager) version(ctx context.Context, kind arm.ResourceType) (string, error) {
	if version := programVersions[strings.ToLower(kind.String())]; version != "" {
		return version, nil
	}
	provider, err := m.providers.Get(ctx, kind.Namespace, nil)
	if err != nil {
		return "", fmt.Errorf("look for the api-versions of %s: %w", kind, err)
	}
	for _, known := range provider.ResourceTypes {
		if known.ResourceType == nil || !strings.EqualFold(*known.ResourceType, kind.Type) {
			continue
		}
		if known.DefaultAPIVersion != nil {
			return *known.DefaultAPIVersion, nil
		}
		if len(known.APIVersions) > 0 && known.APIVersions[0] != nil {
			return *known.APIVersions[0], nil
		}
	}
	return "", fmt.Errorf("unknown api-version of type %s", kind)
}
