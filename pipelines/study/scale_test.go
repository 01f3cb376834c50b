package study

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"diffstitch/io/snapshot"
	"diffstitch/io/trajectory"
	"diffstitch/modelops/diffusion"
	"diffstitch/modelops/session"
	"diffstitch/pipelines/augment"
	"diffstitch/pipelines/augment/method"
	"diffstitch/pipelines/evaluate"
	"diffstitch/pipelines/observe"
	"diffstitch/pipelines/train"
	"diffstitch/transforms/estimate"
	"diffstitch/transforms/mix"
	"diffstitch/transforms/pair"

	"github.com/google/go-cmp/cmp"
)

// asked is what a study asked of the pipelines.
type asked struct {
	trained   map[string]train.Options // by method
	augmented []augment.Options        // of DiffStitch, in the order of the plan
	updates   map[string]int           // by learner
}

// ask does a study of given data by tools that note what they are asked for.
func ask(t *testing.T, o Options, data, environment string) asked {
	t.Helper()
	o.Data.Path, o.Env = filepath.Join(t.TempDir(), data), environment
	if err := os.MkdirAll(filepath.Dir(o.Data.Path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(o.Data.Path, []byte("data"), 0o644); err != nil {
		t.Fatal(err)
	}
	return askBuiltIn(t, o)
}

// askBuiltIn does a study, of the maze where no data is given, by such tools.
func askBuiltIn(t *testing.T, o Options) asked {
	t.Helper()
	a := asked{trained: map[string]train.Options{}, updates: map[string]int{}}
	tools := (&fakes{}).tools()
	tools.Train = func(_ context.Context, o train.Options, _ func(observe.Progress)) (session.Info, error) {
		a.trained[string(o.Methods[0])] = o
		return session.Info{}, nil
	}
	tools.Augment = func(_ context.Context, o augment.Options, _ augment.Judge, _ func(observe.Progress)) (snapshot.Snapshot, error) {
		if string(o.Method) == DiffStitch {
			a.augmented = append(a.augmented, o)
		}
		return snapshot.Snapshot{ID: "id", Manifest: snapshot.Manifest{Stitched: snapshot.Count{Transitions: 1}}}, nil
	}
	tools.Evaluate = func(_ context.Context, o evaluate.Options, _ func(observe.Progress)) (evaluate.Evaluation, error) {
		a.updates[string(o.Learner)] = o.Steps
		return evaluate.Evaluation{}, nil
	}
	if _, err := Run(t.Context(), o, tools, Watch{}, ""); err != nil {
		t.Fatal(err)
	}
	return a
}

func scaled(t *testing.T, study, scale string) Options {
	o := onGo(t, study)
	o.Scale = scale
	return o
}

// paperSampler is that of section 3.1.
var paperSampler = diffusion.Sampler{Kind: diffusion.DDPM, Variance: diffusion.VarianceBeta}

// TestPaperScale has every row of the ablation as the paper has it.
func TestPaperScale(t *testing.T) {
	a := ask(t, scaled(t, Ablation, "paper"), "hopper-medium-replay.parquet", "Hopper-v5")
	cosine := estimate.Similarity{Kind: estimate.Cosine, Space: estimate.Raw}
	delta := method.Delta{Value: 2}
	want := []struct {
		estimate estimate.Config
		delta    method.Delta
	}{
		{estimate.Config{Similarity: cosine, Argmax: true}, delta},
		{estimate.Config{Similarity: cosine, Constant: 40}, delta},
		{estimate.Config{Similarity: cosine, Argmax: true}, method.Delta{Off: true}},
	}
	if len(a.augmented) != len(want) {
		t.Fatalf("%d augmentations, want %d", len(a.augmented), len(want))
	}
	for i, o := range a.augmented {
		if o.Pairing != pair.Uniform || o.Sampler != paperSampler || o.Estimate != want[i].estimate || o.Delta != want[i].delta {
			t.Errorf("augmentation %d: pairing %s, sampler %+v, estimation %+v, δ %v", i, o.Pairing, o.Sampler, o.Estimate, o.Delta)
		}
		if o.Stitches != 10_000 || o.Transitions != 0 || o.Mix.Emit != mix.EmitTrajectory || o.RejectTerminal || o.RequireGain {
			t.Errorf("augmentation %d: %+v", i, o)
		}
	}
	if o := a.trained[DiffStitch]; o.Preset != "paper" || o.Horizon != 0 {
		t.Errorf("models: preset %s, horizon %d", o.Preset, o.Horizon)
	}
	if d := cmp.Diff(map[string]int{IQL: 1_000_000, TD3BC: 1_000_000, DT: 50_000}, a.updates); d != "" {
		t.Errorf("updates (-want +got):\n%s", d)
	}
}

// TestReferenceScale has DiffStitch as the authors' code has it, and the ablation
// choose nothing by what is imagined.
func TestReferenceScale(t *testing.T) {
	a := ask(t, scaled(t, Ablation, "reference"), "hopper-medium-replay.parquet", "Hopper-v5")
	whole, fixed := a.augmented[0], a.augmented[1]
	cosine := estimate.Similarity{Kind: estimate.Cosine, Space: estimate.Denoiser}
	noisy := diffusion.Sampler{Kind: diffusion.DDPM, NoiseScale: 0.5}
	if whole.Pairing != pair.Reference || whole.Candidates != 512 || whole.Sampler != noisy || whole.Pools.High != 0.98 || whole.MinLeft != 101 {
		t.Errorf("pairing %s of %d candidates above %v, sampler %+v", whole.Pairing, whole.Candidates, whole.Pools.High, whole.Sampler)
	}
	if want := (estimate.Config{Similarity: cosine, Threshold: 0.9, MinSteps: 9, MaxSteps: 38}); whole.Estimate != want {
		t.Errorf("estimation %+v, want %+v", whole.Estimate, want)
	}
	if whole.Delta != (method.Delta{Value: math.Sqrt(0.8), Normalised: true}) || !whole.RejectTerminal || !whole.RequireGain || !whole.AcceptTies {
		t.Errorf("δ %v, terminal states %v, gain %v, ties %v", whole.Delta, whole.RejectTerminal, whole.RequireGain, whole.AcceptTies)
	}
	if whole.Scoring != (trajectory.Scoring{Kind: trajectory.ScoreDiscounted, Discount: 0.99}) || whole.Mix.Emit != mix.EmitBridge {
		t.Errorf("scoring %+v, %s", whole.Scoring, whole.Mix.Emit)
	}
	if whole.Stitches != 0 || whole.Transitions != 2_000_000 {
		t.Errorf("%d stitches, %d transitions", whole.Stitches, whole.Transitions)
	}
	if fixed.Pairing != pair.Uniform || fixed.Estimate != (estimate.Config{Similarity: cosine, Constant: 40}) {
		t.Errorf("without step estimation: pairing %s, %+v", fixed.Pairing, fixed.Estimate)
	}
	if a.trained[DiffStitch].Preset != "reference" {
		t.Errorf("models: %s", a.trained[DiffStitch].Preset)
	}
}

// TestSettingsAreTaken has augment accept what the scales ask of it.
func TestSettingsAreTaken(t *testing.T) {
	check := func(study, scale string, augmented []augment.Options) {
		for i, o := range augmented {
			m, err := method.Find(o.Method)
			if err == nil {
				err = m.Validate(o.Settings, 1, 64)
			}
			if err != nil {
				t.Errorf("%s at scale %s, augmentation %d: %v", study, scale, i, err)
			}
		}
	}
	for _, scale := range Scales {
		for _, study := range []string{Ablation, Delta, Pairing} {
			check(study, scale.Name, ask(t, scaled(t, study, scale.Name), "walker2d-medium-v2.parquet", "Walker2d-v5").augmented)
		}
		check(Stitch, scale.Name, askBuiltIn(t, scaled(t, Stitch, scale.Name)).augmented)
	}
}

// TestParts has each D* of the stitch maze made with the parts that its row names.
func TestParts(t *testing.T) {
	hops := method.DefaultSettings().Hops
	auto, usual := method.AutoDelta(), method.Delta{Value: 0.37}
	want := []struct {
		pairing string
		hops    int
		refine  string
		delta   method.Delta
	}{
		{pair.Uniform, hops, method.RefineOff, auto}, // uniform pairs have no hops
		{pair.Uniform, hops, method.RefineOff, usual},
		{pair.Crossings, 1, method.RefineOff, auto},
		{pair.Crossings, hops, method.RefineOff, auto},
		{pair.Crossings, hops, method.RefineOff, usual},
		{pair.Reference, 1, method.RefineOn, auto},
		{pair.Crossings, 1, method.RefineOn, auto},
		{pair.Crossings, hops, method.RefineOn, auto},
	}
	augmented := askBuiltIn(t, onGo(t, Stitch)).augmented
	if len(augmented) != len(want) {
		t.Fatalf("%d augmentations, want %d", len(augmented), len(want))
	}
	for i, o := range augmented {
		if o.Pairing != want[i].pairing || o.Hops != want[i].hops || o.Refine != want[i].refine || o.Delta != want[i].delta {
			t.Errorf("augmentation %d: pairing %s, %d hops, refine %s, δ %v", i, o.Pairing, o.Hops, o.Refine, o.Delta)
		}
		if literal := o.Sampler == paperSampler; literal != (o.Pairing == pair.Uniform) {
			t.Errorf("augmentation %d: sampler %+v", i, o.Sampler)
		}
	}
}

// TestAuthors has the numbers of the authors' files.
func TestAuthors(t *testing.T) {
	for name, want := range map[string]method.Authors{
		"hopper-medium-v2": {Delta: 1.5, Similarity: 0.8}, "hopper-medium-replay": {Delta: 0.8, Similarity: 0.9},
		"hopper-medium-expert-v2": {Delta: 1, Similarity: 0.8}, "halfcheetah-medium-replay-v2": {Delta: 1, Similarity: 0.9},
		"walker2d-medium": {Delta: 1.2, Similarity: 0.9}, "walker2d-medium-replay": {Delta: 1.2, Similarity: 0.9},
		"Hopper-v5": {Delta: 1.5, Similarity: 0.9}, "pen-human-v1": {Delta: 1.5, Similarity: 0.9},
	} {
		if got := authorsOf(name); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

// TestPen has the paper's horizon for pen, at the scales that follow it, and the
// Decision Transformer's updates.
func TestPen(t *testing.T) {
	for _, data := range []string{"pen-human-v1.parquet", "D4RL/pen/human-v2/data.parquet", "mine.parquet"} {
		for scale, horizon := range map[string]int{"small": 0, "paper": 55, "reference": 55} {
			a := ask(t, scaled(t, Main, scale), data, "AdroitHandPen-v1")
			if got := a.trained[DiffStitch].Horizon; got != horizon {
				t.Errorf("%s at scale %s: horizon %d, want %d", data, scale, got, horizon)
			}
			if got := a.trained[SynthER].Horizon + a.trained[TATU].Horizon; got != 0 {
				t.Errorf("%s at scale %s: a baseline has a horizon", data, scale)
			}
			if scale != "small" && a.updates[DT] != 100_000 {
				t.Errorf("%s at scale %s: DT has %d updates", data, scale, a.updates[DT])
			}
		}
	}
	if got := ask(t, scaled(t, Ablation, "reference"), "pen-human-v1.parquet", "AdroitHandPen-v1").augmented[0].MinLeft; got != 56 {
		t.Errorf("entries of pen have %d steps left, more than its episodes of 100 may have", got)
	}
	o := scaled(t, Ablation, "paper")
	a := ask(t, o, "pen-human-v1.parquet", "AdroitHandPen-v1")
	if got := a.augmented[1].Estimate.Constant; got != 22 {
		t.Errorf("Δ is %d of 55, want the share that 40 is of 100", got)
	}
	if got := a.augmented[0].Delta; got != (method.Delta{Value: 2}) {
		t.Errorf("δ is %v", got)
	}
	o.Horizon = 24
	a = ask(t, o, "pen-human-v1.parquet", "AdroitHandPen-v1")
	if got := a.trained[DiffStitch].Horizon; got != 24 {
		t.Errorf("--horizon 24 gives %d", got)
	}
}

// TestWithoutEstimationNothingIsImagined looks at the row of all scales.
func TestWithoutEstimationNothingIsImagined(t *testing.T) {
	for _, scale := range Scales {
		fixed := ask(t, scaled(t, Ablation, scale.Name), "hopper-medium.parquet", "Hopper-v5").augmented[1]
		if words := fixed.Words(); fixed.Pairing != pair.Uniform || words.Similarity != "none" || !strings.HasPrefix(words.Steps, "constant") {
			t.Errorf("scale %s: %+v", scale.Name, words)
		}
	}
}

func TestRefinement(t *testing.T) {
	stages := []snapshot.Stage{{Stage: "inpaint", In: 9, Out: 8}, {Stage: "qualify", In: 8, Out: 4}}
	if got := refinement(stages); got != "none" {
		t.Errorf("without a stage: %q", got)
	}
	if got := refinement(append(stages, snapshot.Stage{Stage: "refine", Unit: "stitches", In: 8, Out: 7})); got != "7 of 8 stitches" {
		t.Errorf("with a stage: %q", got)
	}
}

func TestDatasetName(t *testing.T) {
	for path, want := range map[string]string{
		"/data/Hopper-Medium-Replay.parquet": "hopper-medium-replay", "pen-human-v1": "pen-human-v1", "/minari/D4RL/pen/human-v2": "pen-human-v2",
		"/minari/D4RL/pen/human-v2/data/": "pen-human-v2", "mujoco/hopper/medium-v0/data/part.parquet": "hopper-medium-v0", "": ".", "D4RL/pen": "pen",
	} {
		if got := datasetName(path); got != want {
			t.Errorf("%q is %q, want %q", path, got, want)
		}
	}
}
