package environment

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"evenkeel/internal/azure/login"
	"evenkeel/internal/hint"
)

// Subscription returns the management API of the subscription that azure-native would deploy the stack to, logged in to
// as it would.
func (e *Environment) Subscription(ctx context.Context) (*ResourceManager, error) {
	id, err := e.SubscriptionID(ctx)
	if err != nil {
		return nil, err
	}
	account, err := e.account(id)
	if err != nil {
		return nil, err
	}
	cloud, err := account.Cloud(ctx)
	if err != nil {
		return nil, err
	}
	options := &arm.ClientOptions{
		ClientOptions:         policy.ClientOptions{Cloud: cloud, Transport: account.Transport()},
		AuxiliaryTenants:      account.AuxiliaryTenants(),
		DisableRPRegistration: true, // Pulumi registers resource providers itself
	}
	return NewResourceManager(id, account, options, 5*time.Second)
}

// Credential returns the login of the environment's target, for the service APIs of its provisioning service and hubs:
// that of the Azure account, or the emulator's client.
func (e *Environment) Credential(ctx context.Context) (azcore.TokenCredential, error) {
	if e.Target != Azure {
		credential, _, err := Client(e.Endpoints)
		return credential, err
	}
	id, err := e.SubscriptionID(ctx)
	if err != nil {
		return nil, err
	}
	return e.account(id)
}

func (e *Environment) account(subscription string) (*login.Account, error) {
	settings := login.Settings{SubscriptionID: subscription}.WithVariables(e.inherited)
	var roots *x509.CertPool // the system's
	account, err := login.New(settings, roots)
	if err != nil {
		return nil, hint.To(err,
			"log in as for any azure-native program: az login, or the ARM_ variables of a service principal")
	}
	return account, nil
}

// SubscriptionID returns the subscription from the places where azure-native looks for it: the stack's configuration,
// the variable, the Azure CLI.
func (e *Environment) SubscriptionID(ctx context.Context) (string, error) {
	_, stacks, err := e.Folder.Project()
	if err != nil {
		return "", err
	}
	own, err := readSettings(stackFile(stacks, e.Stack), "azure-native")
	if err != nil {
		return "", err
	}
	for _, id := range []string{own["subscriptionId"], e.inherited("ARM_SUBSCRIPTION_ID"),
		e.inherited("AZURE_SUBSCRIPTION_ID")} {
		if id != "" {
			return id, nil
		}
	}
	const advice = "az login, or: pulumi config set azure-native:subscriptionId ID, or set ARM_SUBSCRIPTION_ID"
	cmd := exec.CommandContext(ctx, "az", "account", "show", "--query", "id", "--output", "tsv")
	var out, complaint bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = e.Inherited, &out, &complaint
	if err := cmd.Run(); err != nil {
		return "", hint.To(fmt.Errorf("find the subscription: ask the Azure CLI: %w: %s", err,
			strings.TrimSpace(complaint.String())), advice)
	}
	id := strings.TrimSpace(out.String())
	if id == "" {
		return "", hint.To(fmt.Errorf("find the subscription: the Azure CLI has no default subscription"), advice)
	}
	return id, nil
}
