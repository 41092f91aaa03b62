package environment

import (
	"context"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

// Credential returns the identity of Microsoft Entra ID with which keel uses the provisioning service and the hubs: the
// one that deploys the stack.
func (e *Environment) Credential(ctx context.Context) (azcore.TokenCredential, error) {
	if e.Target != Azure {
		credential, _, err := Client(e.Endpoints)
		return credential, err
	}
	id, err := e.SubscriptionID(ctx)
	if err != nil {
		return nil, err
	}
	account, err := e.account(id)
	if err != nil {
		return nil, err
	}
	return account, nil
}
