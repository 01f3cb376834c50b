package study

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"diffstitch/pipelines/exchange"
	"diffstitch/pipelines/version"
)

// Kind is what a step makes.
type Kind string

// The kinds of steps, in the order in which they build on each other.
const (
	DataStep    Kind = "data"      // a dataset D
	ModelsStep  Kind = "models"    // the models of a method, trained on it
	AugmentStep Kind = "augmented" // D*
	CellStep    Kind = "cell"      // a learner's policies and their scores
)

// Kinds lists them.
var Kinds = []Kind{DataStep, ModelsStep, AugmentStep, CellStep}

// Work is how much a step has to do.
type Work struct {
	Amount int64  `json:"amount"`
	Unit   string `json:"unit"`
	// Alike names those steps that take as long for the same amount.
	Alike string `json:"alike"`
}

// job is what a step does. Its exported fields are its settings; those that name
// datasets and models hold their keys.
type job interface {
	kind() Kind
	title() string
	work() Work
	// needs are the keys of the steps that it builds on.
	needs() []string
	// do makes the step's output in its folder, or goes on with it.
	do(ctx context.Context, r *run, dir string) (Outcome, error)
}

// keyOf is the key of a job.
func keyOf(j job) (string, error) { return hashed(j.kind(), j) }

// hashed is a key: a kind, and a hash of settings and of the software's version.
func hashed(kind Kind, settings any) (string, error) {
	raw, err := json.Marshal(settings)
	if err != nil {
		return "", fmt.Errorf("study: the settings of a step: %w", err)
	}
	sum := sha256.Sum256(append([]byte(version.Software+"\n"), raw...))
	return string(kind) + "-" + hex.EncodeToString(sum[:6]), nil
}

// output is where a step of a key leaves its dataset or models, in its folder.
func output(dir, key string) string {
	kind, _, _ := strings.Cut(key, "-")
	switch Kind(kind) {
	case DataStep:
		return filepath.Join(dir, "data.parquet")
	case AugmentStep:
		return filepath.Join(dir, "dataset")
	case ModelsStep:
		return filepath.Join(dir, "models")
	}
	return dir
}

// mazeJob generates the built-in dataset.
type mazeJob struct {
	Episodes int    `json:"episodes"`
	Seed     uint64 `json:"seed"`
	Stitch   bool   `json:"stitch,omitempty"` // no episode leads from the start to the goal
}

func (mazeJob) kind() Kind      { return DataStep }
func (mazeJob) needs() []string { return nil }
func (m mazeJob) title() string {
	if m.Stitch {
		return fmt.Sprintf("the built-in maze, %d episodes, each in one corridor", m.Episodes)
	}
	return fmt.Sprintf("the built-in maze, %d episodes", m.Episodes)
}
func (m mazeJob) work() Work {
	return Work{Amount: int64(m.Episodes), Unit: "episodes", Alike: "maze"}
}

func (m mazeJob) do(ctx context.Context, r *run, dir string) (Outcome, error) {
	rows, err := r.tools.Generate(ctx, exchange.GenerateOptions{Out: output(dir, string(DataStep)), Episodes: m.Episodes, Seed: m.Seed, Stitch: m.Stitch})
	return Outcome{Dataset: &Dataset{Episodes: int64(m.Episodes), Transitions: rows}}, err
}

// sampleJob takes a share of a dataset's episodes.
type sampleJob struct {
	Data  string  `json:"data"`
	Share float64 `json:"share"`
	Seed  uint64  `json:"seed"`
}

func (sampleJob) kind() Kind        { return DataStep }
func (s sampleJob) title() string   { return fmt.Sprintf("%g %% of the episodes", 100*s.Share) }
func (s sampleJob) needs() []string { return []string{s.Data} }
func (s sampleJob) work() Work {
	return Work{Amount: 1, Unit: "sample", Alike: "sample of " + s.Data}
}

func (s sampleJob) do(ctx context.Context, r *run, dir string) (Outcome, error) {
	sampled, err := r.tools.Sample(ctx, exchange.SampleOptions{
		Data: r.dataset(s.Data), Out: output(dir, string(DataStep)), Share: s.Share, Seed: s.Seed,
	})
	return Outcome{Dataset: &Dataset{Episodes: sampled.Episodes, Transitions: sampled.Transitions}}, err
}
