# Patchbay's house keeping. `make` alone explains itself.
#
# Everything here needs Go and make. Test set-up that needs more (a real
# PostgreSQL, MariaDB or Azure CLI) installs it with the distribution's packages when
# it may, and says what is missing when it may not.

GO       ?= go
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT   ?= $(shell git rev-parse --short HEAD 2>/dev/null)
WIRING   := github.com/patchbay/patchbay/internal/app
LDFLAGS  := -s -w -X $(WIRING).version=$(VERSION) -X $(WIRING).commit=$(COMMIT)
BUILD    := CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)'
TOOL     := $(CURDIR)/.cache/tools

# Tests run with the race detector in CI; NO_RACE (a regular expression over
# import paths) leaves out packages where it costs more than it finds.
CI       ?=
NO_RACE  ?= ^$$
TESTFLAGS ?=
TIMEOUT  ?= 20m
PACKAGES  = $(shell $(GO) list ./...)
RACED     = $(shell $(GO) list ./... | grep -Ev '$(NO_RACE)')
UNRACED   = $(shell $(GO) list ./... | grep -E '$(NO_RACE)')

PLATFORMS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64

.DEFAULT_GOAL := help
.PHONY: help build demo test race bench figures conformance interop lint generate cross clean setup

help: ## List the targets and what they do
	@echo 'Patchbay: join an app to a backing service, and keep it joined.'
	@echo
	@echo 'Usage: make TARGET [NAME=VALUE]'
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo 'Start with `make demo`, then `make test`.'

build: ## Read the whole catalog, then build bin/patchbay: one static binary, no cgo
	@$(GO) test -run '^TestTheHeadIsOfTheFile$$' ./internal/catalog
	@mkdir -p bin
	$(BUILD) -o bin/patchbay ./cmd/patchbay

demo: build ## Join, break and repair a web app in a local cloud, checking every step
	@$(BUILD) -o bin/counter ./examples/counter
	@$(BUILD) -o bin/demo ./demo
	@bin/demo -patchbay bin/patchbay -app bin/counter

test: setup ## Set up what the tests need, then run all of them (race detector on when CI is set)
ifeq ($(CI),)
	$(GO) test -timeout $(TIMEOUT) $(TESTFLAGS) $(PACKAGES)
else
	$(GO) test -race -timeout $(TIMEOUT) $(TESTFLAGS) $(RACED)
	$(if $(strip $(UNRACED)),$(GO) test -timeout $(TIMEOUT) $(TESTFLAGS) $(UNRACED))
endif

race: setup ## Run all tests with the race detector (needs a C compiler)
	$(GO) test -race -timeout 40m $(TESTFLAGS) $(PACKAGES)

bench: setup ## Run the benchmarks, the parallelism figure among them
	$(GO) test -run '^$$' -bench . -benchmem -timeout $(TIMEOUT) $(TESTFLAGS) $(PACKAGES)

figures: build ## Measure binary size, start-up time, idle memory and lines of test
	@$(GO) run ./demo/figures -patchbay bin/patchbay

conformance: setup ## Hold the product to published contracts: make conformance REFERENCE=DIR
	@test -n '$(REFERENCE)' || { echo 'make conformance: say where the reference is, REFERENCE=DIR' >&2; exit 2; }
	@test -d '$(REFERENCE)' || { echo 'make conformance: no directory $(REFERENCE)' >&2; exit 2; }
	REFERENCE='$(abspath $(REFERENCE))' GO='$(GO)' hack/conformance -timeout $(TIMEOUT) $(TESTFLAGS)

interop: build setup ## Live a connection's whole life with real Azure CLIs, which it installs
	@hack/setup-interop
	@GO='$(GO)' hack/setup-kubernetes
	@hack/setup-clients
	$(GO) test -tags interop -count 1 -timeout 30m -v $(TESTFLAGS) ./interop/
	$(GO) test -tags interop -count 1 -timeout 30m -v -run RealServer $(TESTFLAGS) ./internal/compute/kubernetes/

lint: $(TOOL)/staticcheck ## gofmt, go vet and the linters pinned in tools/go.mod
	@unformatted=$$(find . -name '*.go' -not -path './.cache/*' -not -path '*/testdata/*' -exec gofmt -l {} +); \
	  test -z "$$unformatted" || { echo "gofmt wants: $$unformatted" >&2; exit 1; }
	$(GO) vet -tags interop,conformance ./...
	$(TOOL)/staticcheck -tags interop,conformance ./...

generate: ## Write again what is generated from data (errors page, OpenAPI documents, CLI reference)
	$(GO) generate ./...

cross: ## Build dist/ for Linux, macOS and Windows on amd64 and arm64
	@mkdir -p dist
	@for p in $(PLATFORMS); do \
	  os=$${p%/*} arch=$${p#*/} ext=; test $$os = windows && ext=.exe; \
	  echo "dist/patchbay-$$os-$$arch$$ext"; \
	  GOOS=$$os GOARCH=$$arch $(BUILD) -o dist/patchbay-$$os-$$arch$$ext ./cmd/patchbay || exit 1; \
	done

clean: ## Remove what the targets above made
	rm -rf bin dist .cache

setup:
	@hack/setup $(if $(CI),race)

$(TOOL)/staticcheck: tools/go.mod tools/go.sum
	cd tools && $(GO) build -o $@ honnef.co/go/tools/cmd/staticcheck
