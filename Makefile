# Each target is one line; the logic is Go. `make` shows this list.
KEEL := go run -buildvcs=false ./cmd/keel
SAY := { test -x .evenkeel/bin/keel || echo "compiling keel: a few minutes the first time"; }
STATICCHECK := go run honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: help up down build generate sdks tidy check test bench node node-ports az az-ports tpm limits browser
.DEFAULT_GOAL := help

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
up: ## Bring the local environment up and send 200 devices through it
	@$(SAY) && $(KEEL) up local && $(KEEL) devices provision -s local
down: ## Remove the local environment and stop the emulator
	@$(KEEL) down local
build: ## Build Pulumi (unless it is on PATH), keel, the plugin and the program
	@$(SAY) && $(KEEL) build
generate: ## Generate the SDKs from their schemas
	@go run -buildvcs=false ./tools/generate
sdks: ## Generate the TypeScript and Python SDKs and prove them, as far as this machine has Node and Python
	@go run -buildvcs=false ./tools/generate -sdks .evenkeel/sdks
tidy: ## Tidy go.mod; Pulumi's Go host asks for the whole module graph, so go.sum holds all of it
	@go mod tidy && go list -m -mod=mod all > /dev/null
check: ## Look for what is not formatted, suspicious or stale
	@test -z "$$(gofmt -l .)" && go vet ./... && go vet -tags acceptance,node,ports,az,swtpm,limits,browser ./acceptance/... ./emulator/internal/tpmseal ./emulator && $(STATICCHECK) $$(go list ./... | grep -v /sdks/) && go run -buildvcs=false ./tools/generate -check
test: ## Run all tests: unit, race, acceptance
	@go test ./... && go test -race -short ./... && go test -tags acceptance -count 1 -timeout 60m ./acceptance/...
bench: ## Measure the local road beside what bounds it
	@go run -buildvcs=false ./acceptance/bench
node: ## Run the stock Node clients against the emulator
	@go test -tags node -count 1 -timeout 20m ./acceptance/...
node-ports: ## The same with hubs on Azure's own ports, 443 and 8883 of loopback addresses, which needs the right to listen there
	@go test -tags node,ports -run Loopback -count 1 -timeout 20m ./acceptance/node
az: ## Run the Azure CLI, which must be installed, against the emulator
	@go test -tags az -count 1 -timeout 20m ./acceptance/az
az-ports: ## Follow the page about the hosts file, which needs the right to listen on Azure's own ports
	@go test -tags az,ports -run HostsPage -count 1 -timeout 20m ./acceptance/az
tpm: ## Give sealed TPM keys to the TPM simulator swtpm, which must be installed, and to Azure's TPM client for Node on it
	@go test -tags swtpm -count 1 ./emulator/internal/tpmseal && go test -tags node,swtpm -run TPM -count 1 ./acceptance/node
limits: ## Load a million enrollments and connect ten thousand devices at once: some minutes
	@go test -tags limits -run '^TestLimit' -count 1 -timeout 20m -v ./emulator
browser: ## Look at the emulator's page in headless Chromium, which must be installed
	@go test -tags browser -run Page -count 1 ./emulator
