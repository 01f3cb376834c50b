package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"diffstitch/io/storage"
	"diffstitch/testing/fixture"
	"diffstitch/testing/stores"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
)

// asCommand has the test binary be the command itself: Beam's flags are set once
// a process.
const asCommand = "DIFFSTITCH_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	code := m.Run()
	fixture.RemoveModels()
	os.Exit(code)
}

const (
	workerImage = "example.com/diffstitch/worker-cuda:test"
	accelerator = "type:nvidia-l4;count:1;install-nvidia-driver"
	account     = "stitcher@example.iam.gserviceaccount.com"
	// secret is in the driver's environment and in its credentials, and nowhere else.
	secret = "c4n4ry-5ecret"
)

// Bounds of what a job carries beside the worker binary.
const (
	maxPayload  = 64 << 10
	maxPipeline = 1 << 20
	maxBinary   = 400 << 20
)

// environment is what submit.sh takes its flags from.
var environment = []string{
	"PROJECT=p", "REGION=europe-west4", "BUCKET=bucket", "IMAGE=" + workerImage, "SERVICE_ACCOUNT=" + account,
	"MACHINE_TYPE=g2-standard-8", "SUBNETWORK=regions/europe-west4/subnetworks/workers",
}

// options are the pipeline options that a job may show, Beam's own last.
var options = []string{
	"dry_run", "temp_location", "resource_hints", "dataflow_service_options", "experiments", "hooks", "hookOrder",
}

// jobName is what Dataflow allows.
var jobName = regexp.MustCompile(`^[a-z]([-a-z0-9]*[a-z0-9])?$`)

// job is a pipeline and the Dataflow job around it.
type job struct {
	pipeline *pipeline_v1.Pipeline
	dataflow dataflowJob
}

// dataflowJob is what is checked of a job of Dataflow's API.
type dataflowJob struct {
	Name        string
	Environment struct {
		ServiceAccountEmail string
		ServiceOptions      []string
		SdkPipelineOptions  struct {
			GoOptions struct {
				Options map[string]string
			} `json:"beam:option:go_options:v1"`
		}
		WorkerPools []struct {
			AutoscalingSettings         struct{ MaxNumWorkers int }
			IPConfiguration             string
			MachineType                 string
			Packages                    []struct{ Name string }
			Subnetwork                  string
			WorkerHarnessContainerImage string
		}
	}
}

// submit runs deploy/dataflow/submit.sh with this test binary as the program, a
// secret in its environment and a storage service that knows no bucket.
func submit(t *testing.T, extra []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	nowhere := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(nowhere.Close)
	credentials := filepath.Join(t.TempDir(), "credentials.json")
	if err := os.WriteFile(credentials, []byte(`{"type": "authorized_user", "refresh_token": "`+secret+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, said bytes.Buffer
	cmd := exec.Command("../../deploy/dataflow/submit.sh", args...)
	cmd.Env = slices.Concat(os.Environ(), environment, []string{
		"DIFFSTITCH=" + os.Args[0], asCommand + "=1", "STORAGE_EMULATOR_HOST=" + nowhere.URL,
		"GOOGLE_APPLICATION_CREDENTIALS=" + credentials, "DIFFSTITCH_TEST_TOKEN=" + secret,
	}, extra)
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return out.String(), said.String(), exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return out.String(), said.String(), exitDone
}

// dryRun gives the jobs that a command would submit, in order.
func dryRun(t *testing.T, extra []string, args ...string) []job {
	t.Helper()
	stdout, stderr, code := submit(t, extra, append(args, "--dry_run")...)
	if code != exitDone || !strings.Contains(stderr, "none was run") {
		t.Fatalf("exit code %d:\n%s\n%s", code, stdout, stderr)
	}
	if strings.Contains(stdout, secret) {
		t.Error("the secret is in what was printed")
	}
	return parse(t, stdout)
}

// parse finds the pipelines, a line each, and the jobs, as indented JSON.
func parse(t *testing.T, printed string) (jobs []job) {
	t.Helper()
	var pipeline *pipeline_v1.Pipeline
	for rest := printed; rest != ""; {
		if strings.HasPrefix(rest, "{\n") {
			built := job{pipeline: pipeline}
			decoder := json.NewDecoder(strings.NewReader(rest))
			if err := decoder.Decode(&built.dataflow); err != nil {
				t.Fatal(err)
			}
			jobs = append(jobs, built)
			rest = rest[decoder.InputOffset():]
			continue
		}
		var line string
		line, rest, _ = strings.Cut(rest, "\n")
		if read := new(pipeline_v1.Pipeline); len(line) > 0 && prototext.Unmarshal([]byte(line), read) == nil {
			pipeline = read
		}
	}
	return jobs
}

func writeWalks(t *testing.T) (path string) {
	path = filepath.Join(t.TempDir(), "walks.parquet")
	fixture.Write(t, path, fixture.RandomWalks(fixture.Walks, fixture.WalksSeed)...)
	return path
}

// TestDataflowJobs builds the jobs for data, models and output of this machine, and of a
// bucket, where all workers find them.
func TestDataflowJobs(t *testing.T) {
	t.Run("local", func(t *testing.T) {
		checkJobs(t, writeWalks(t), fixture.Models(t).Dir, t.TempDir(), nil)
	})
	t.Run("gs", func(t *testing.T) {
		s := stores.Start(t, stores.GCS)
		copyFolder(t, filepath.Dir(writeWalks(t)), s.Root+"/walks")
		copyFolder(t, fixture.Models(t).Dir, s.Root+"/models")
		checkJobs(t, s.Root+"/walks", s.Root+"/models", s.Root+"/made", s.Environment)
	})
}

// checkJobs builds the jobs whose output would lie in a folder.
func checkJobs(t *testing.T, walks, models, dir string, extra []string) {
	hints := []string{"--resource_hints", "min_ram=12GB", "--resource_hints", "accelerator=" + accelerator}
	out := storage.Join(dir, "out")
	for name, test := range map[string]struct {
		args  []string
		steps [][]string // a job's
	}{
		"train": {
			args:  []string{"train", "--data", walks, "--models", storage.Join(dir, "models"), "--backend", "xla"},
			steps: [][]string{{"train.Models"}},
		},
		"augment": {
			args: []string{"augment", "--data", walks, "--models", models, "--out", out, "--stitches", "200", "--batch", "4", "--sampler-steps", "4", "--backend", "xla"},
			steps: [][]string{
				{"datasetio.Scan", "datasetio.Hashes"},
				{"datasetio.Crossings"},
				{"datasetio.ReadShares", "datasetio.LowEnds", "datasetio.StageCandidates", "datasetio.Await", "estimate.Imagine", "datasetio.Nearest", "estimate.Steps", "pair.ByEntry", "datasetio.Contexts", "inpaint.Bridges", "wrapup.Transitions", "refine.Bridges", "qualify.Stitches", "datasetio.Stage"},
				{"datasetio.Write"},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			jobs := dryRun(t, extra, slices.Concat(test.args, hints)...)
			if len(jobs) != len(test.steps) {
				t.Fatalf("%d jobs, want %d", len(jobs), len(test.steps))
			}
			for i, built := range jobs {
				checkSteps(t, built.pipeline, test.steps[i])
				checkEnvironments(t, built.pipeline)
				checkSizes(t, built.pipeline)
				checkJob(t, built.dataflow)
			}
		})
	}
	if published, _ := storage.ReadDir(storage.Join(out, "snapshots")); len(published) > 0 {
		t.Errorf("a dry run published %v", published)
	}
}

// checkSteps looks for the composites among the pipeline's steps.
func checkSteps(t *testing.T, p *pipeline_v1.Pipeline, want []string) {
	t.Helper()
	names := map[string]bool{}
	for _, transform := range p.GetComponents().GetTransforms() {
		top, _, _ := strings.Cut(transform.GetUniqueName(), "/")
		names[top] = true
	}
	for _, name := range want {
		if !names[name] {
			t.Errorf("no step %s among %v", name, names)
		}
	}
}

// checkEnvironments wants the worker container and the hints on every one.
func checkEnvironments(t *testing.T, p *pipeline_v1.Pipeline) {
	t.Helper()
	if len(p.GetComponents().GetEnvironments()) == 0 {
		t.Error("no environment")
	}
	for id, environment := range p.GetComponents().GetEnvironments() {
		docker := new(pipeline_v1.DockerPayload)
		if err := proto.Unmarshal(environment.GetPayload(), docker); err != nil {
			t.Fatal(err)
		}
		if docker.GetContainerImage() != workerImage {
			t.Errorf("environment %s runs %q", id, docker.GetContainerImage())
		}
		hints := map[string]string{}
		for urn, value := range environment.GetResourceHints() {
			hints[urn] = string(value)
		}
		want := map[string]string{"beam:resources:min_ram_bytes:v1": "12000000000", "beam:resources:accelerator:v1": accelerator}
		if diff := cmp.Diff(want, hints); diff != "" {
			t.Errorf("hints of environment %s (-want +got):\n%s", id, diff)
		}
	}
}

// checkSizes bounds what travels with every bundle: no data, no weights.
func checkSizes(t *testing.T, p *pipeline_v1.Pipeline) {
	t.Helper()
	for _, transform := range p.GetComponents().GetTransforms() {
		if size := len(transform.GetSpec().GetPayload()); size > maxPayload {
			t.Errorf("%s carries %d bytes, more than %d", transform.GetUniqueName(), size, maxPayload)
		}
	}
	if size := proto.Size(p); size > maxPipeline {
		t.Errorf("the pipeline has %d bytes, more than %d", size, maxPipeline)
	}
}

// checkJob wants the flags where Dataflow reads them, the worker as the only
// package, and no option that was not given.
func checkJob(t *testing.T, built dataflowJob) {
	t.Helper()
	if !jobName.MatchString(built.Name) {
		t.Errorf("Dataflow takes no job called %q", built.Name)
	}
	environment := built.Environment
	if len(environment.WorkerPools) != 1 {
		t.Fatalf("%d worker pools", len(environment.WorkerPools))
	}
	pool := environment.WorkerPools[0]
	got := []any{pool.WorkerHarnessContainerImage, pool.MachineType, pool.AutoscalingSettings.MaxNumWorkers, pool.IPConfiguration, pool.Subnetwork, environment.ServiceAccountEmail}
	want := []any{workerImage, "g2-standard-8", 4, "WORKER_IP_PRIVATE", "regions/europe-west4/subnetworks/workers", account}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("workers (-want +got):\n%s", diff)
	}
	if len(pool.Packages) != 1 || pool.Packages[0].Name != "worker" {
		t.Errorf("packages other than the worker are staged: %+v", pool.Packages)
	}
	shown := environment.SdkPipelineOptions.GoOptions.Options
	for name := range shown {
		if !slices.Contains(options, name) {
			t.Errorf("option %s is shown", name)
		}
	}
	if len(shown) == 0 {
		t.Error("no options found")
	}
}

func TestDataflowAccelerators(t *testing.T) {
	train := []string{"train", "--data", writeWalks(t), "--models", t.TempDir(), "--backend", "xla"}
	service := []string{"ACCELERATOR=" + accelerator}
	jobs := dryRun(t, service, train...)
	if len(jobs) != 1 || !slices.Contains(jobs[0].dataflow.Environment.ServiceOptions, "worker_accelerator="+accelerator) {
		t.Errorf("no accelerator among the service's options of %d jobs", len(jobs))
	}
	mixed := append(train, "--dry_run", "--resource_hints", "accelerator="+accelerator)
	if _, stderr, code := submit(t, service, mixed...); code != exitUsage || !strings.Contains(stderr, "leave one of them out") {
		t.Errorf("exit code %d for accelerators asked for in two ways: %s", code, stderr)
	}
}

// TestDeployedFlags looks for the flags that the files in deploy/ give.
func TestDeployedFlags(t *testing.T) {
	metadata, err := os.ReadFile("../../deploy/dataflow/metadata.json")
	if err != nil {
		t.Fatal(err)
	}
	var template struct{ Parameters []struct{ Name string } }
	if err := json.Unmarshal(metadata, &template); err != nil || len(template.Parameters) == 0 {
		t.Fatalf("%d parameters: %v", len(template.Parameters), err)
	}
	for _, parameter := range template.Parameters {
		if newTrain().Flags().Lookup(parameter.Name) == nil {
			t.Errorf("train has no flag for the template's parameter %s", parameter.Name)
		}
	}
	manifests, err := filepath.Glob("../../deploy/kubernetes/augment-*.yaml")
	if err != nil || len(manifests) == 0 {
		t.Fatalf("%d manifests: %v", len(manifests), err)
	}
	for _, manifest := range manifests {
		text, err := os.ReadFile(manifest)
		if err != nil {
			t.Fatal(err)
		}
		for _, given := range regexp.MustCompile(`- (--\S+)`).FindAllStringSubmatch(string(text), -1) {
			if err := newAugment().ParseFlags(given[1:]); err != nil {
				t.Errorf("%s: %v", manifest, err)
			}
		}
	}
}

func TestWorkerBinaryIsStageable(t *testing.T) {
	info, err := os.Stat(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > maxBinary {
		t.Errorf("the binary that is staged for workers has %d MiB, more than %d", info.Size()>>20, maxBinary>>20)
	}
}
