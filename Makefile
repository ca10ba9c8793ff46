# "make help" lists what there is.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
FUZZTIME ?= 30s
ARGS     ?=
BIN      ?= bin
ARCH     ?= arm64

# Where install puts things. DESTDIR is for packages.
PREFIX     ?= /usr/local
SYSCONFDIR ?= /etc
DESTDIR    ?=

unitdir     = $(DESTDIR)$(PREFIX)/lib/systemd/system
sysctldir   = $(DESTDIR)$(PREFIX)/lib/sysctl.d
sharedir    = $(DESTDIR)$(PREFIX)/share/periscope
sysusersdir = $(DESTDIR)$(PREFIX)/lib/sysusers.d
confdir     = $(DESTDIR)$(SYSCONFDIR)/periscope

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Without the tag package lambda has net/rpc, with which the linker keeps every
# method of every type: 50 MB of the AWS SDK.
.PHONY: build
build: ## build bin/periscope and bin/periscope-mirror, static, with the version git gives
	CGO_ENABLED=0 go build -trimpath -tags lambda.norpc -ldflags '-X main.version=$(VERSION)' -o $(BIN)/ ./cmd/periscope ./cmd/periscope-mirror

# The bytes of the archive depend on nothing but the sources: no time, no user.
.PHONY: lambda
lambda: ## build bin/periscope-mirror-arm64.zip, the AWS Lambda function for provided.al2023 on arm64; ARCH=amd64 for x86_64
	CGO_ENABLED=0 GOOS=linux GOARCH=$(ARCH) go build -trimpath -tags lambda.norpc -ldflags '-s -w -X main.version=$(VERSION)' \
		-o $(BIN)/lambda-$(ARCH)/bootstrap ./cmd/periscope-mirror
	chmod 0755 $(BIN)/lambda-$(ARCH)/bootstrap && touch -d 1980-01-01T00:00:00Z $(BIN)/lambda-$(ARCH)/bootstrap
	rm -f $(BIN)/periscope-mirror-$(ARCH).zip
	TZ=UTC zip -q -X -j $(BIN)/periscope-mirror-$(ARCH).zip $(BIN)/lambda-$(ARCH)/bootstrap

.PHONY: run
run: build ## run the collector with its defaults: captures/ here, metrics on port 9477; ARGS="--out DIR" and the like
	@echo 'Listening for VXLAN on UDP 4789 and GENEVE on UDP 6081. Stop with Ctrl-C.'
	@echo '  files    $(CURDIR)/captures/<session>/'
	@echo '  metrics  http://127.0.0.1:9477/metrics'
	@echo '  health   http://127.0.0.1:9477/healthz and /readyz'
	@echo '  try it   $(BIN)/periscope send --count 1000      (in another shell)'
	@exec $(BIN)/periscope run $(ARGS)

.PHONY: tools
tools: ## install the Debian packages that tests use, where missing
	tools/prepare

.PHONY: test
test: tools ## run every test with the race detector, and vet for arm64; as root, privileged tests too
	GOARCH=arm64 go vet -pgo=off ./...
	tools/test

.PHONY: lint
lint: ## gofmt, vet and staticcheck; cfn-lint, where there is one
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "gofmt -w $$unformatted"; exit 1; fi
	go mod tidy -diff
	go vet -pgo=off -tags soak ./...
	go tool -modfile=tools/go.mod staticcheck -tags soak ./...
	cd interop && go mod tidy -diff && go vet ./... && go tool -modfile=../tools/go.mod staticcheck ./...
	if command -v cfn-lint >/dev/null; then cfn-lint deploy/aws/collector.yaml deploy/aws/mirror.yaml deploy/aws/cross-account.yaml; fi

.PHONY: bench
bench: ## run the Go benchmarks, which takes some minutes
	go test -run '^$$' -bench . -benchtime 200ms -skip '^BenchmarkPath' -benchmem ./...
	go test -run '^$$' -bench '^BenchmarkPath' -benchtime 2000000x ./bench

.PHONY: bench-peers
bench-peers: build ## measure the collector beside tcpdump, dumpcap, netsniff-ng and bare loops, in at most 40 minutes (needs root); ARGS="-only periscope"
	tools/peers
	go build -o $(BIN)/ ./bench/peers ./bench/blast ./bench/limit ./bench/imix
	$(BIN)/peers $(ARGS)

.PHONY: fuzz
fuzz: ## fuzz each target for FUZZTIME (30s)
	tools/fuzz $(FUZZTIME)

.PHONY: lab
lab: tools ## only the real mirror session, between network namespaces (needs root)
	go test -race -count=1 -v ./internal/lab

.PHONY: soak
soak: tools ## what takes long: an hour under load, the other tests named TestSoak, and ten minutes of fuzzing each target
	go test -tags soak -count=1 -timeout 0 -v -run '^TestSoakHour$$' ./cmd/periscope
	go test -tags soak -race -count=1 -timeout 0 -v -run '^TestSoak' -skip '^TestSoakHour$$' ./...
	tools/fuzz 10m

.PHONY: install
install: build ## install the programs, the collector's unit, sysctl and user below PREFIX, drop-ins for the unit and an example configuration
	install -D -m 0755 $(BIN)/periscope $(DESTDIR)$(PREFIX)/bin/periscope
	install -D -m 0755 $(BIN)/periscope-mirror $(DESTDIR)$(PREFIX)/bin/periscope-mirror
	install -D -m 0644 deploy/periscope.service $(unitdir)/periscope.service
	sed -i 's,/usr/local/bin/,$(PREFIX)/bin/,; s,/etc/periscope/,$(SYSCONFDIR)/periscope/,' $(unitdir)/periscope.service
	install -D -m 0644 deploy/90-periscope.conf $(sysctldir)/90-periscope.conf
	for f in afpacket.conf xdp.conf; do \
		install -D -m 0644 deploy/$$f $(sharedir)/$$f; \
		sed -i 's,/usr/local/share/,$(PREFIX)/share/,' $(sharedir)/$$f; \
	done
	install -D -m 0644 deploy/periscope.sysusers $(sysusersdir)/periscope.conf
	@test -e $(confdir)/periscope.yaml || install -D -m 0644 deploy/periscope.yaml $(confdir)/periscope.yaml
	@echo 'Now, as root: systemd-sysusers && sysctl --system && systemctl daemon-reload && systemctl enable --now periscope'

.PHONY: uninstall
uninstall: ## remove what install put there; captures, configuration and the user stay
	rm -f $(DESTDIR)$(PREFIX)/bin/periscope $(DESTDIR)$(PREFIX)/bin/periscope-mirror $(unitdir)/periscope.service \
		$(sysctldir)/90-periscope.conf $(sysusersdir)/periscope.conf \
		$(sharedir)/afpacket.conf $(sharedir)/xdp.conf
	@echo 'Left alone: $(SYSCONFDIR)/periscope, /var/lib/periscope and the user periscope.'
