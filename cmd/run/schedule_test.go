package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"diffstitch/io/dataset"
	"diffstitch/io/snapshot"
	"diffstitch/pipelines/exchange"
	"diffstitch/testing/fixture"
	"diffstitch/testing/stores"
)

// quick makes a refresh of the walks and their models, which are hardly trained, one that
// takes no time.
var quick = []string{"--stitches=16", "--batch=4", "--sampler-steps=4", "--delta=off", "--min-acceptance=0", "--max-reject-share=0.1", "--backend=go"}

// airflow is what Airflow's operator adds.
var airflow = []string{`--labels={"airflow-version":"v3-3-2"}`, "--worker_binary=" + os.Args[0], "--runner=prism"}

// cronArgs are those of the container in cronjob.yaml.
func cronArgs(t *testing.T) (args []string) {
	t.Helper()
	manifest, err := os.ReadFile("../../deploy/schedule/cronjob.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(manifest), "args:\n")
	for _, found := range regexp.MustCompile(`(?m)^ +- (refresh|--\S+)$`).FindAllStringSubmatch(list, -1) {
		args = append(args, found[1])
	}
	if len(args) < 5 || args[0] != "refresh" {
		t.Fatalf("cronjob.yaml runs %q", args)
	}
	return args
}

// scheduled runs a command twice, as a schedule does: the second time there is nothing to do.
func scheduled(t *testing.T, out string, command func() *exec.Cmd) {
	t.Helper()
	var published []string
	for range 2 {
		if said, err := command().CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
		s, err := snapshot.Current(out)
		if err != nil {
			t.Fatal(err)
		}
		published = append(published, s.ID)
	}
	if published[0] != published[1] {
		t.Errorf("nothing changed, and %q were published", published)
	}
}

// TestCronJob runs the command of deploy/schedule/cronjob.yaml on object stores.
func TestCronJob(t *testing.T) {
	for _, kind := range []string{stores.GCS, stores.S3} {
		t.Run(kind, func(t *testing.T) {
			s := stores.Start(t, kind)
			copyFolder(t, filepath.Dir(writeWalks(t)), s.Root+"/episodes")
			copyFolder(t, fixture.Models(t).Dir, s.Root+"/models")
			args := cronArgs(t)
			for i := range args {
				args[i] = strings.ReplaceAll(args[i], "gs://BUCKET", s.Root)
			}
			scheduled(t, s.Root+"/augmented", func() *exec.Cmd {
				cmd := exec.Command(os.Args[0], append(args, quick...)...)
				cmd.Env = append(os.Environ(), asCommand+"=1")
				return cmd
			})
		})
	}
}

// TestTimer runs the command of deploy/schedule/systemd as systemd would, and Airflow's script.
func TestTimer(t *testing.T) {
	unit, err := os.ReadFile("../../deploy/schedule/systemd/diffstitch-refresh.service")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^ExecStart=/usr/local/bin/diffstitch (refresh .*)$`).FindSubmatch(unit)
	if found == nil {
		t.Fatal("the unit starts no refresh")
	}
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	settings := strings.NewReplacer("${DATA}", writeWalks(t), "${MODELS}", fixture.Models(t).Dir, "${OUT}", out, "${STITCHES}", "16")
	args := strings.Fields(settings.Replace(string(found[1])))
	scheduled(t, out, func() *exec.Cmd {
		cmd := exec.Command("../../deploy/schedule/airflow/diffstitch-refresh", slices.Concat(args[1:], quick, airflow)...)
		cmd.Env = append(os.Environ(), asCommand+"=1", "DIFFSTITCH="+os.Args[0])
		return cmd
	})
	if _, err := exchange.Inspect(t.Context(), out, dataset.Options{}, true); err != nil {
		t.Error(err)
	}
}
