package azurenative

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/golang-jwt/jwt/v5"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"

	"evenkeel/internal/azure/arm"
)

// clientConfigToken is the only function about the caller instead of a resource.
const clientConfigToken = "azure-native:authorization:getClientConfig"

// Invoke reads a resource, lists keys, or describes the caller. Like the real plugin, it marks no result as secret.
func (a *azureNative) Invoke(ctx context.Context, req *pulumirpc.InvokeRequest) (*pulumirpc.InvokeResponse, error) {
	ctx, done := a.operation(ctx, 0)
	defer done()
	var outputs map[string]any
	var err error
	if req.GetTok() == clientConfigToken {
		outputs, err = a.clientConfig(ctx)
	} else {
		outputs, err = a.call(ctx, req)
	}
	if err != nil {
		return nil, err
	}
	result, err := marshal(resource.NewPropertyMapFromMap(outputs))
	if err != nil {
		return nil, err
	}
	return &pulumirpc.InvokeResponse{Return: result}, nil
}

// call sends the one request of a function in the table.
func (a *azureNative) call(ctx context.Context, req *pulumirpc.InvokeRequest) (map[string]any, error) {
	fn, ok := a.table.Functions[req.GetTok()]
	if !ok {
		return nil, fmt.Errorf("the local azure-native plugin does not serve %s; it serves resource groups and the "+
			"devices module", req.GetTok())
	}
	args, err := unmarshal(req.GetArgs())
	if err != nil {
		return nil, err
	}
	values := args.Mappable()
	id, err := fn.path.fill(a.subscription(), values)
	if err != nil {
		return nil, err
	}
	at := arm.Target{ID: id, APIVersion: fn.APIVersion}
	var answer map[string]any
	switch fn.Method {
	case http.MethodGet:
		answer, err = a.get(ctx, at)
	case http.MethodPost:
		body := properties{}
		for name, p := range fn.Inputs {
			if !fn.path.has(name) {
				body[name] = p
			}
		}
		answer, err = a.client.Post(ctx, at, body.toBody(values))
	default:
		err = fmt.Errorf("no request is known for method %q", fn.Method)
	}
	if err != nil {
		return nil, fmt.Errorf("invoke %s: %w", req.GetTok(), err)
	}
	return fn.Outputs.fromBody(answer), nil
}

// clientConfig describes the caller from its own token. It does not check the signature, because nothing depends on it.
func (a *azureNative) clientConfig(ctx context.Context) (map[string]any, error) {
	token, err := a.credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{a.endpoint + "/.default"}})
	if err != nil {
		return nil, fmt.Errorf("get client configuration: %w", err)
	}
	claims := jwt.MapClaims{}
	if _, _, err := jwt.NewParser().ParseUnverified(token.Token, claims); err != nil {
		// The parser's error may quote the token.
		return nil, errors.New("get client configuration: the access token is not a JSON web token")
	}
	claim := func(names ...string) string {
		for _, name := range names {
			if value, ok := claims[name].(string); ok {
				return value
			}
		}
		return ""
	}
	return map[string]any{
		"clientId":       claim("appid", "azp"),
		"objectId":       claim("oid", "sub"),
		"subscriptionId": a.subscription(),
		"tenantId":       claim("tid"),
	}, nil
}
