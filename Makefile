# The pure-Go backend's matrix product takes AVX2 or AVX-512 with this.
export GOEXPERIMENT := simd
# Nothing is downloaded that nobody asked for.
export GOMLX_NO_AUTO_INSTALL := 1

SHELL := /bin/bash -o pipefail
GO ?= go
# For what is compared with Python packages (.ci/requirements.txt).
PYTHON ?= python3
BINARY := bin/diffstitch

# Packages in which several goroutines meet.
CONCURRENT ?= ./pipelines/observe/... ./io/parquet/... ./io/layout/... ./io/datasetio/... ./modelops/backend/... ./modelops/session/...
# The XLA plugin for the CPU, and the script that builds it.
XLA_CPU_INSTALLER ?= ../shared/tools/xla-cpu/install-xla-cpu.sh
XLA_CPU_DIR ?= $(HOME)/.cache/diffstitch/xla-cpu
XLA_CPU_PLUGIN := $(XLA_CPU_DIR)/libpjrt_cpu.so
XLA_CPU_BACKEND := xla:$(XLA_CPU_PLUGIN),shared_buffers
# The XLA plugin for CUDA: a name that go-xla finds, or the path of a plugin file.
XLA_CUDA_PLUGIN ?= cuda
# The oldest and the newest Kubernetes whose schemas the manifests must fit.
AIRFLOW_PYTHON ?= python3
K8S_VERSIONS ?= 1.28.0 1.37.0
# What `make image` builds: the CPU image, or the one that IMAGE_FILE names.
IMAGE ?= diffstitch:0.1.0
IMAGE_FILE ?= deploy/docker/Dockerfile
IMAGE_FLAGS ?=
# Which Flink make flink-test brings up: embedded, cluster or all.
FLINK ?= all
FUZZ_TIME ?= 30s
STRESS_RUNS ?= 200
# Where make study-small leaves its pages and steps.
STUDY_DIR ?= studies
# How many processes the fault suite kills at random points.
FAULTS ?= 5
# How long make soak has streams run.
SOAK ?= 2m

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/diffstitch
	$(GO) build -o $(BINARY) ./cmd/run

.PHONY: image
image: ## build the image IMAGE of IMAGE_FILE by docker (deploy/docker/README.md)
	docker build -f $(IMAGE_FILE) --build-arg REVISION=$$(git rev-parse HEAD) $(IMAGE_FLAGS) -t $(IMAGE) .

.PHONY: boot
boot: ## build bin/boot, Beam's program that starts workers, for --environment_type PROCESS
	$(GO) build -o bin/boot github.com/apache/beam/sdks/v2/go/container

.PHONY: demo
demo: build ## the whole job on the built-in maze: generate, train, augment, publish, report
	$(BINARY) demo

.PHONY: study-small
study-small: build ## every experiment of the paper on the built-in maze, scaled down to two cores, in STUDY_DIR (docs/studies.md)
	status=0; for study in main ratio delta small ablation pairing; do \
		$(BINARY) study $$study --out $(STUDY_DIR) || status=1; \
	done; exit $$status

.PHONY: test
test: ## run every test
	$(GO) test -timeout 15m ./...

.PHONY: layouts-test
layouts-test: ## load a D* as docs/layouts.md says in minari, d3rlpy, LeRobot, datasets (installs them, with PyTorch)
	DIFFSTITCH_LAYOUTS=1 $(GO) test ./testing/layouts -count 1 -timeout 60m -v

.PHONY: tutorial-test
tutorial-test: ## run docs/tutorial.md, shortened, on XLA's CPU plugin if it is there (needs Python with pyarrow)
	DIFFSTITCH_TUTORIAL=1 $(if $(wildcard $(XLA_CPU_PLUGIN)),GOMLX_BACKEND=$(XLA_CPU_BACKEND)) $(GO) test ./testing/tutorial -count 1 -timeout 30m -v

.PHONY: test-xla
test-xla: ## run the numerical tests on XLA's CPU plugin as well (see xla-cpu)
	@test -f $(XLA_CPU_PLUGIN) || { echo "no $(XLA_CPU_PLUGIN): make xla-cpu builds it"; exit 1; }
	GOMLX_BACKEND=$(XLA_CPU_BACKEND) $(GO) test -count 1 -timeout 15m ./modelops/...

.PHONY: flink-test
flink-test: build boot ## train and augment on Flink and the embedded runners, which must agree (FLINK=embedded, cluster or all)
	deploy/flink/flink.sh jars
	DIFFSTITCH_FLINK=$(FLINK) $(GO) test -exec $(CURDIR)/deploy/flink/isolated.sh ./testing/flink -count 1 -timeout 20m -v

.PHONY: flink-bench
flink-bench: build boot ## measure an augmentation on prism and on Flink: engine, models, memory (docs/benchmarks.md)
	deploy/flink/flink.sh jars
	DIFFSTITCH_FLINK=all $(GO) test -exec $(CURDIR)/deploy/flink/isolated.sh ./testing/flink -run '^$$' -bench Engine -benchtime 3x -timeout 60m

.PHONY: gpu-check
gpu-check: ## run the numerical tests on CUDA as well, in float32
	GOMLX_BACKEND=xla:$(XLA_CUDA_PLUGIN),tf32=false $(GO) test -count 1 -short -timeout 15m -v ./modelops/...

.PHONY: race
# GoMLX's pure-Go matrix product steps over the ends of its slices by address,
# which the detector's pointer checks refuse.
race: ## run the tests of the concurrent packages under the race detector (needs a C compiler)
	GOEXPERIMENT= CGO_ENABLED=1 $(GO) test -race -gcflags='github.com/gomlx/compute/...=-d=checkptr=0' -short -timeout 20m $(CONCURRENT)

.PHONY: lint
lint: ## check formatting, go vet, staticcheck
	@unformatted=$$(gofmt -l $$(git ls-files "*.go")) && { test -z "$$unformatted" || { echo "not formatted (make fmt):"; echo "$$unformatted"; exit 1; }; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

.PHONY: lint-deploy
lint-deploy: export PATH := $(CURDIR)/.ci/venv/bin:$(PATH)
lint-deploy: ## check Dockerfiles, shell scripts, Kubernetes manifests (needs .ci/requirements.txt in .ci/venv or the PATH)
	hadolint deploy/docker/Dockerfile deploy/docker/Dockerfile.cuda
	shellcheck .ci/run $$(git ls-files '*.sh') deploy/schedule/airflow/diffstitch-refresh
	kubernetes-validate --strict --quiet $(K8S_VERSIONS:%=-k %) deploy/kubernetes/*.yaml deploy/schedule/cronjob.yaml deploy/flink/kubernetes/augment.yaml deploy/flink/kubernetes/jobserver.yaml deploy/flink/kubernetes/network.yaml
	python deploy/schedule/dataflow/check.py < deploy/schedule/dataflow/launch.json
	deploy/schedule/systemd/check.sh

.PHONY: lint-airflow
lint-airflow: build ## load the DAG of deploy/schedule in Airflow and run its task (needs airflow/requirements.txt in AIRFLOW_PYTHON)
	$(AIRFLOW_PYTHON) deploy/schedule/airflow/check.py bin/diffstitch

.PHONY: imports
imports: ## print what each package imports of this module (testing/arrows holds it to ARCHITECTURE.md)
	@$(GO) list -f '{{.ImportPath}}{{range .Imports}} {{.}}{{end}}' ./... | awk '{ line = $$1; for (i = 2; i <= NF; i++) if ($$i ~ /^diffstitch\//) line = line " " substr($$i, 12); sub(/^diffstitch\//, "", line); print line }'

.PHONY: fmt
fmt: ## format every file
	gofmt -w .

.PHONY: tidy-check
tidy-check: ## check that go.mod and go.sum are tidy
	$(GO) mod tidy -diff
	$(GO) -C testing/servers mod tidy -diff

.PHONY: bench
bench: ## measure reading and writing against pyarrow, stitching, Beam's overhead, memory (docs/benchmarks.md)
	file=$$(mktemp) && trap 'rm -f "$$file"' EXIT && \
		DIFFSTITCH_BENCH_FILE=$$file $(GO) test ./io/layout -run '^$$' -bench Canonical -benchtime 5x && \
		$(PYTHON) tools/bench/parquet_peer.py "$$file"
	$(GO) test ./testing/bench -run '^$$' -bench 'Stitching|Forward|Beam' -benchtime 3x -timeout 60m
	$(GO) test ./testing/bench -run '^$$' -bench Planning -benchtime 1x -timeout 60m

.PHONY: bench-memory
bench-memory: build ## measure memory against the size of the data, up to 20 M transitions; BENCH_FLAGS for another runner
	DIFFSTITCH_BENCH_BINARY=$(CURDIR)/$(BINARY) DIFFSTITCH_BENCH_FLAGS='$(BENCH_FLAGS)' \
		$(GO) test ./testing/bench -run '^$$' -bench Memory -benchtime 1x -timeout 2h

.PHONY: bench-refresh
bench-refresh: build ## compare refreshes after 5 % new data with the whole made anew
	DIFFSTITCH_BENCH_BINARY=$(CURDIR)/$(BINARY) $(GO) test ./testing/bench -run '^$$' -bench Refresh -benchtime 1x -timeout 2h

.PHONY: bench-authors
bench-authors: build ## compare the whole job with the authors' algorithm in PyTorch, on XLA (needs torch in PYTHON; DATA, a Parquet file)
	$(PYTHON) tools/bench/authors_ratio.py --data "$(DATA)"

.PHONY: gpu-bundle
gpu-bundle: ## pack what measures a card where there is no Go and no network into bin/gpu-bundle.tar.xz
	tools/gpu/bundle.sh bin/gpu-bundle.tar.xz

.PHONY: bench-gpu
bench-gpu: gpu-bundle ## check and measure a card of this machine in 6 minutes (docs/benchmarks.md)
	rm -rf bin/gpu && tar -C bin -xJf bin/gpu-bundle.tar.xz
	PYTHON=$(PYTHON) bin/gpu/run.sh $(CURDIR)/bin/gpu-results

.PHONY: golden
golden: ## rewrite the golden files of every package that has some
	@{ grep -rlE --include='*_test.go' 'flag.(Bool|Lookup)\("update"' . || true; } | xargs -rn1 dirname | sort -u | while read -r package; do \
		$(GO) test "$$package" -update || exit 1; \
	done

.PHONY: fuzz
fuzz: ## run each fuzz target for FUZZ_TIME
	@{ grep -r --include='*_test.go' -o '^func Fuzz[A-Za-z0-9_]*' . || true; } | while IFS=: read -r file target; do \
		$(GO) test "$$(dirname "$$file")" -run '^$$' -fuzz "^$${target#func }$$" -fuzztime $(FUZZ_TIME) -fuzzminimizetime 10x || exit 1; \
	done

.PHONY: stress
stress: ## run the small preset's net STRESS_RUNS times on the pure-Go backend: it must not deadlock
	$(GO) test ./modelops/diffusion -count 1 -timeout 6h -v -run TestNoDeadlock -stress=$(STRESS_RUNS)

.PHONY: faults
faults: ## kill, starve and break runs of the real binary: FAULTS random kills, and every kind of fault
	$(GO) test -tags faults ./io/fault
	FAULTS=$(FAULTS) $(GO) test ./testing/faults -count 1 -timeout 60m -v

.PHONY: faults-nightly
faults-nightly: build boot ## the same with 50 random kills on prism, 50 on a Flink cluster, and more seeds
	deploy/flink/flink.sh jars
	FAULTS=50 DIFFSTITCH_FLINK=cluster $(GO) test -exec $(CURDIR)/deploy/flink/isolated.sh ./testing/faults -count 1 -timeout 5h -v

.PHONY: soak
soak: build boot ## have streams run for SOAK on prism and on a Flink cluster, side by side: speed, latency, memory
	deploy/flink/flink.sh jars
	DIFFSTITCH_SOAK=$(SOAK) DIFFSTITCH_FLINK=cluster $(GO) test -exec $(CURDIR)/deploy/flink/isolated.sh ./testing/soak -count 1 -timeout 5h -v

.PHONY: soak-nightly
soak-nightly: ## the same for an hour
	$(MAKE) soak SOAK=1h

.PHONY: xla-cpu
xla-cpu: ## build XLA's CPU plugin in XLA_CPU_DIR by XLA_CPU_INSTALLER
	mkdir -p $(dir $(XLA_CPU_DIR))
	$(XLA_CPU_INSTALLER) $(XLA_CPU_DIR)

.PHONY: clean
clean: ## remove what was built
	rm -rf bin demo
