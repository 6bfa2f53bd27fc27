# Everything one does with this project, by name. `make test` is what the continuous integration runs (.ci/run).
#
#   deps    what the real guests of `e2e` and `demo` need: Debian packages and a guest kernel (as root; nothing starts)
#   build   bin/trifid and bin/onegate
#   test    deps, check, build, race, scripts, e2e: the time of each, what was skipped, and a summary
#   check   formatting, vet, staticcheck, the rules of the house, generated files, known vulnerabilities
#   race    the unit tests under the race detector
#   scripts the commands, run as scripts against a server
#   e2e     real guests, other people's clients, faults
#   lint    golangci-lint: stricter than check, slower to build
#   fmt     format the Go files
#   gen     write the generated files anew
#   bench   the benchmarks          fuzz   every fuzz target for FUZZTIME (20s)
#   crash   the crash tests with CRASH_ROUNDS (10000) rounds instead of 100
#   demo    a small cloud with real guests on this machine, without touching it (as root)
#
# Knobs: GO, GOFLAGS, VERSION, BENCH (what to measure, "-quick all" to see that it works), TRIFID_CACHE (guest kernel, default .cache), TRIFID_SPEC (schemas to test against).

SHELL := /bin/sh
GO    ?= go

# Root's tools even where root's PATH lacks them, and Go where its installer puts it.
export PATH := $(PATH):/usr/local/go/bin:/usr/local/sbin:/usr/sbin:/sbin
export GOFLAGS ?=
export GOTOOLCHAIN ?= local
export TRIFID_CACHE ?= $(CURDIR)/.cache
# One build of every dependency for the programs, the checks and the tests; the race detector alone needs C.
export CGO_ENABLED = 0

VERSION      ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS      := -s -w -X main.version=$(VERSION) -X github.com/trifid-cloud/trifid/internal/onegate.release=$(VERSION)
# The guest's client speaks HTTP/1.1 alone, and is 400 kB smaller for it.
GUEST_TAGS   := nethttpomithttp2
FUZZTIME     ?= 20s
BENCH        ?= all
CRASH_ROUNDS ?= 10000

# Tools at exact versions, outside our go.mod.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOLANGCI    := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.3.0
GOTESTSUM   := gotest.tools/gotestsum@v1.13.0

# A line for each package, the output of what failed, and at the end every skipped test with its reason.
# Tests that need C say TEST_ENV='env CGO_ENABLED=1': it reaches the tests, not the build of the tool.
TEST = $(GO) run $(if $(TEST_ENV),-exec '$(TEST_ENV)') $(GOTESTSUM) --format pkgname --format-hide-empty-pkg --

# The packages of `race`, `scripts` and `e2e`. What is under test/ is of one of the latter, or a library or rule (ns, arch, docs).
GOFMT   = $(wildcard bench cmd internal test)
UNIT    = $(patsubst %,./%/...,$(wildcard bench cmd internal))
SCRIPTS = $(patsubst %,./%/...,$(wildcard test/scripts))
E2E     = $(patsubst %/,./%/...,$(filter-out test/arch/ test/docs/ test/ns/ test/scripts/,$(wildcard test/*/)))

.PHONY: all deps build test check race scripts e2e lint fmt gen bench fuzz crash demo

all: build

deps:
	scripts/deps.sh
	$(GO) run ./internal/guestimage/mkguest

build:
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/trifid
	$(GO) build -trimpath -tags $(GUEST_TAGS) -ldflags '$(LDFLAGS)' -o bin/ ./cmd/onegate

test:
	scripts/stages.sh deps check build race scripts e2e

# staticcheck rather than golangci-lint: 30 seconds to build on two cores instead of 90, on every run of a fresh machine.
check:
	@out=$$(gofmt -l $(GOFMT)); [ -z "$$out" ] || { echo "not formatted (make fmt):"; echo "$$out"; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	$(GO) test ./test/arch
	$(GO) test -count=1 ./test/docs
	scripts/gen.sh check
	GOVULNCHECK='$(GO) run $(GOVULNCHECK)' scripts/vulncheck.sh

ifneq ($(shell command -v gcc),)
race: TEST_ENV := env CGO_ENABLED=1
race: RACE := -race
endif
race:
	$(if $(RACE),,@echo "RACE DETECTOR OFF: it needs gcc, which is not installed")
	$(TEST) $(RACE) $(UNIT)

scripts: build
	$(if $(SCRIPTS),$(TEST) -count=1 $(SCRIPTS),@echo "there are no scripts yet")

# One package after the other: each has machines of its own, and there are only so many cores.
e2e: build
	$(TEST) -count=1 -p 1 -timeout 20m $(E2E)

lint:
	$(GO) run $(GOLANGCI) run ./...

fmt:
	gofmt -w $(GOFMT)

gen:
	scripts/gen.sh

bench: build
	$(GO) run ./bench/cmd/bench $(BENCH)
	$(GO) test -run '^$$' -bench . -benchmem ./internal/... ./bench/...

fuzz:
	FUZZTIME=$(FUZZTIME) GO=$(GO) scripts/fuzz.sh

crash:
	$(GO) test -count=1 -timeout 0 -run Crash -v ./internal/store -crash.rounds=$(CRASH_ROUNDS)

demo: deps build
	bin/trifid demo
