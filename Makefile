# Each target is one line; the logic is Go. `make` shows this list.
# One set of build flags for everything, as in internal/keel/toolchain: most packages compile again with other ones.
export GOFLAGS := $(GOFLAGS) -buildvcs=false -tags=osusergo
# keel is built to the place where keel itself builds it: the program that go run links is another one, without debug information.
KEEL := mkdir -p -m 700 .evenkeel && go build -o .evenkeel/bin/ ./cmd/keel && .evenkeel/bin/keel
SAY := { test -x .evenkeel/bin/keel || echo "compiling keel: a few minutes the first time"; }
STATICCHECK := go run honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: help up down build generate sdks module dist vuln tidy check test bench node node-ports az az-ports tpm limits browser
.DEFAULT_GOAL := help

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
up: ## Bring the local environment up and send 200 devices through it
	@$(SAY) && $(KEEL) up local && .evenkeel/bin/keel devices provision -s local
down: ## Remove the local environment and stop the emulator
	@$(KEEL) down local
build: ## Build Pulumi (unless it is on PATH), keel, the plugin and the program
	@$(SAY) && $(KEEL) build
generate: ## Generate the SDKs from their schemas
	@go run ./tools/generate
sdks: ## Generate the TypeScript and Python SDKs and prove them, as far as this machine has Node and Python
	@go run ./tools/generate -sdks .evenkeel/sdks
module: ## Copy the project under the module path MODULE into the folder TO, as it is published
	@go run ./tools/module -path "$(MODULE)" -to "$(TO)"
dist: ## Build the release archives, with sums and bills of materials, in dist; URL is where users will download them from
	@go run ./tools/dist -to dist -url "$(URL)"
vuln: ## Look for calls of functions with known vulnerabilities
	@go run ./tools/vulncheck
tidy: ## Tidy go.mod and the modules of tools, and give what they share one version
	@go run ./tools/tidy
check: ## Look for what is not formatted, suspicious or stale
	@test -z "$$(gofmt -l .)" && go vet ./... && go vet -tags osusergo,acceptance,node,ports,az,swtpm,limits,browser ./acceptance/... ./emulator/internal/tpmseal ./emulator && $(STATICCHECK) $$(go list ./... | grep -v /sdks/) && go run ./tools/generate -check
test: ## Run all tests: unit with the race detector, the long ones without it, acceptance
	@go test -race -short ./... && go test ./emulator ./internal/provider && go test -tags osusergo,acceptance -count 1 -timeout 60m ./acceptance/...
bench: ## Measure the local road beside what bounds it
	@go run -buildvcs=false ./acceptance/bench
node: ## Run the stock Node clients against the emulator
	@go test -tags osusergo,node -count 1 -timeout 20m ./acceptance/...
node-ports: ## The same with hubs on Azure's own ports, 443 and 8883 of loopback addresses, which needs the right to listen there
	@go test -tags osusergo,node,ports -run Loopback -count 1 -timeout 20m ./acceptance/node
az: ## Run the Azure CLI, which must be installed, against the emulator
	@go test -tags osusergo,az -count 1 -timeout 20m ./acceptance/az
az-ports: ## Follow the page about the hosts file, which needs the right to listen on Azure's own ports
	@go test -tags osusergo,az,ports -run HostsPage -count 1 -timeout 20m ./acceptance/az
tpm: ## Give sealed TPM keys to the TPM simulator swtpm, which must be installed, and to Azure's TPM client for Node on it
	@go test -tags osusergo,swtpm -count 1 ./emulator/internal/tpmseal && go test -tags osusergo,node,swtpm -run TPM -count 1 ./acceptance/node
limits: ## Load a million enrollments and connect ten thousand devices at once: some minutes
	@go test -tags osusergo,limits -run '^TestLimit' -count 1 -timeout 20m -v ./emulator
browser: ## Look at the emulator's page in headless Chromium, which must be installed
	@go test -tags osusergo,browser -run Page -count 1 ./emulator
