package login_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"evenkeel/internal/azure/login"
)

// endsWhenCancelled cancels a login that waits for a server, and fails unless the login ends although no server has
// answered.
func endsWhenCancelled(t *testing.T, account *login.Account, waits <-chan struct{}) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := account.GetToken(
			ctx, policy.TokenRequestOptions{Scopes: []string{"https://management.azure.com/.default"}})
		ended <- err
	}()
	enough := time.After(time.Minute)
	select {
	case <-waits:
	case err := <-ended:
		t.Fatalf("the login ended before it was cancelled: %v", err)
	case <-enough:
		t.Fatal("got no request")
	}
	cancel()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("got a token from no server")
		}
	case <-enough:
		t.Fatal("the login waits for an answer although it is cancelled")
	}
}

func TestALoginEndsWhenItIsCancelled(t *testing.T) {
	t.Parallel()
	for name, held := range map[string]string{
		"asking for the cloud":            "/metadata/endpoints",
		"asking the pipeline for a token": "/oidc",
		"asking for a token":              "/tenant-1/oauth2/v2.0/token",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			waits, release := make(chan struct{}), make(chan struct{})
			var server *httptest.Server
			server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case held:
					close(waits)
					<-release
				case "/metadata/endpoints":
					fmt.Fprintf(w,
						`{"resourceManager":%q,"authentication":{"loginEndpoint":%q,"audiences":["https://arm"]}}`,
						server.URL, server.URL)
				case "/oidc":
					fmt.Fprint(w, `{"value":"a.b.c"}`)
				default:
					fmt.Fprintf(w,
						`{"issuer":"%[1]s/tenant-1/v2.0","authorization_endpoint":"%[1]s/tenant-1/oauth2/v2.0/authorize","token_endpoint":"%[1]s/tenant-1/oauth2/v2.0/token"}`, server.URL)
				}
			}))
			defer server.Close()
			defer close(release)
			account, err := login.New(login.Settings{
				MetadataHost: strings.TrimPrefix(server.URL, "https://"), TenantID: "tenant-1", ClientID: "client-1",
				UseOIDC: true, OIDCRequestURL: server.URL + "/oidc", OIDCRequestToken: "t",
			}, server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs)
			must(t, err)
			endsWhenCancelled(t, account, waits)
		})
	}
}

// Not parallel: the login finds the Azure CLI on PATH.
func TestALoginDoesNotWaitForTheAzureCLIWhenItIsCancelled(t *testing.T) {
	folder := t.TempDir()
	release, started := filepath.Join(folder, "release"), filepath.Join(folder, "started")
	script := fmt.Sprintf("#!/bin/sh\n: > '%s'\nuntil [ -e '%s' ] || [ ! -d '%s' ]; do sleep 0.05; done\n", started,
		release, folder)
	must(t, os.WriteFile(filepath.Join(folder, "az"), []byte(script), 0o700))
	t.Setenv("PATH", folder+string(os.PathListSeparator)+os.Getenv("PATH"))
	account, err := login.New(login.Settings{UseAzureCLI: true}, nil)
	must(t, err)
	waits := make(chan struct{})
	go func() {
		for {
			if _, err := os.Stat(started); !errors.Is(err, os.ErrNotExist) {
				close(waits)
				return
			}
			select {
			case <-t.Context().Done():
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	endsWhenCancelled(t, account, waits)
	must(t, os.WriteFile(release, nil, 0o600))
}
