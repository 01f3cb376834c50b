package study

import (
	"fmt"
	"slices"

	"diffstitch/pipelines/augment/method"
	"diffstitch/transforms/pair"
)

// Plan is what a study does, and how its result is laid out.
type Plan struct {
	Settings Settings `json:"settings"`
	Steps    []Step   `json:"steps"` // each after those that it needs
	Rows     []Row    `json:"rows"`
}

// Step is one of a plan.
type Step struct {
	Key   string   `json:"key"`
	Kind  Kind     `json:"kind"`
	Title string   `json:"title"`
	Needs []string `json:"needs,omitempty"`
	Work  Work     `json:"work"`

	job job
}

// Row is a line of the study's table.
type Row struct {
	ID    string `json:"id"` // as the paper's scores have it
	Label string `json:"label"`
	// Data is the key of the dataset that its cells learn from.
	Data string `json:"data"`
	// Ratio of original to augmented rows at which they do.
	Ratio string `json:"ratio"`
	// Cells are the keys of its cells, by learner.
	Cells map[string]string `json:"cells"`
}

// planner gathers the steps of a plan.
type planner struct {
	Plan
	titles map[string]string // of datasets, by key
	err    error             // the first
}

// plan lays out a study on the dataset of a key, which is no step; "" has the
// built-in maze generated.
func plan(s Settings, given string) (Plan, error) {
	p := &planner{Plan: Plan{Settings: s}, titles: map[string]string{given: "the data"}}
	data := given
	if given == "" {
		data = p.add(mazeJob{Episodes: s.Scale.MazeEpisodes, Seed: s.Seed, Stitch: s.Study == Stitch})
		p.titles[data] = "the data"
	}
	switch s.Study {
	case Main:
		p.methods(data)
	case Small:
		small := p.add(sampleJob{Data: data, Share: sampleShare, Seed: s.Seed})
		p.titles[small] = "the sample"
		p.methods(small)
	case Ratio:
		p.ratios(data)
	case Delta:
		p.deltas(data)
	case Ablation:
		p.ablations(data)
	case Pairing:
		p.pairings(data)
	case Stitch:
		p.parts(data)
	}
	order := func(a, b Step) int { return slices.Index(Kinds, a.Kind) - slices.Index(Kinds, b.Kind) }
	slices.SortStableFunc(p.Steps, order)
	return p.Plan, p.err
}

// add adds a step, unless it is there, and gives its key.
func (p *planner) add(j job) string {
	key, err := keyOf(j)
	if err != nil && p.err == nil {
		p.err = err
	}
	if !slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Key == key }) {
		p.Steps = append(p.Steps, Step{Key: key, Kind: j.kind(), Title: j.title(), Needs: j.needs(), Work: j.work(), job: j})
	}
	return key
}

// row adds a row whose learners draw from a dataset at a ratio.
func (p *planner) row(id, label, data, ratio string) {
	s := p.Settings
	r := Row{ID: id, Label: label, Data: data, Ratio: ratio, Cells: map[string]string{}}
	for _, learner := range s.Learners {
		r.Cells[learner] = p.add(evaluateJob{
			Data: data, Learner: learner, Settings: s.LearnerSettings, Tiny: s.Scale.TinyLearners, Ratio: ratio, Env: s.Env, Seeds: s.seeds(),
			Updates: s.Scale.Updates[learner], Episodes: s.Scale.Episodes, Backend: s.Backend,
			on: p.titles[data],
		})
	}
	p.Rows = append(p.Rows, r)
}

// seeds of the learners.
func (s Settings) seeds() (seeds []uint64) {
	for i := range s.Scale.Seeds {
		seeds = append(seeds, s.Seed+uint64(i))
	}
	return seeds
}

// models are those of a method.
func (p *planner) models(data, method string) string {
	steps, err := optimizerSteps(p.Settings.Scale.Preset, method)
	if err != nil && p.err == nil {
		p.err = err
	}
	j := trainJob{
		Data: data, Method: method, Preset: p.Settings.Scale.Preset, Seed: p.Settings.Seed, Backend: p.Settings.Backend,
		steps: steps,
	}
	if method == DiffStitch { // the others have no windows
		j.Horizon = p.Settings.Scale.Horizon
	}
	return p.add(j)
}

// stitched is D* by DiffStitch.
func (p *planner) stitched(data, label string, settings Stitching) string {
	return p.augmented(augmentJob{
		Data: data, Method: DiffStitch, Stitching: &settings, Stitches: p.Settings.Scale.Stitches, Transitions: p.Settings.Scale.Generated, label: label,
	})
}

// generated is D* by a baseline.
func (p *planner) generated(data, method string) string {
	return p.augmented(augmentJob{Data: data, Method: method, Transitions: p.Settings.Scale.Transitions})
}

// augmented adds an augmentation, and the models that it needs.
func (p *planner) augmented(a augmentJob) string {
	a.Models, a.Seed, a.Backend = p.models(a.Data, a.Method), p.Settings.Seed, p.Settings.Backend
	key := p.add(a)
	if _, known := p.titles[key]; !known {
		p.titles[key] = a.title()
	}
	return key
}

// methods compares methods on a dataset (Tables 1 and 4).
func (p *planner) methods(data string) {
	for _, method := range p.Settings.Methods {
		from := data
		switch method {
		case Original:
		case DiffStitch:
			from = p.stitched(data, "", p.Settings.Stitching)
		default:
			from = p.generated(data, method)
		}
		p.row(method, methodNames[method], from, ratioOf(method))
	}
}

// ratios compares ratios of original to augmented rows (Table 2).
func (p *planner) ratios(data string) {
	stitched := p.stitched(data, "", p.Settings.Stitching)
	for _, ratio := range ratios {
		from := stitched
		if ratio == allOriginal {
			from = data
		}
		p.row(ratio, ratio, from, ratio)
	}
}

// deltas compares thresholds (Table 3). The paper's are numbered from 1.
func (p *planner) deltas(data string) {
	for i, delta := range deltasOf(p.Settings) {
		label, settings := deltaLabel(delta), p.Settings.Stitching
		settings.Delta = delta
		p.row(fmt.Sprint(i+1), label, p.stitched(data, label, settings), usualRatio)
	}
}

func deltaLabel(d method.Delta) string {
	if d.Quantile > 0 {
		return fmt.Sprintf("δ = q%g", d.Quantile)
	}
	return fmt.Sprintf("δ = %.3g", d.Value)
}

// ablations takes a part at a time from DiffStitch (Figure 5).
func (p *planner) ablations(data string) {
	models, err := p.Settings.models()
	if err != nil && p.err == nil {
		p.err = err
	}
	usual := p.Settings.Stitching
	constant := constantSteps(models.Denoiser.Diffusion.UNet.Horizon)
	fixed := fmt.Sprintf("Δ = %d", constant)
	if usual.Pairing != pair.Uniform {
		fixed += ", uniform pairs"
	}
	unestimated, unqualified := usual, usual
	unestimated.StitchingSettings = usual.WithoutEstimation(constant)
	unqualified.Delta = method.Delta{Off: true}
	p.row("diffstitch", methodNames[DiffStitch], p.stitched(data, "", usual), usualRatio)
	p.row("augmentation", "− augmentation", data, allOriginal)
	p.row("estimation", fmt.Sprintf("− step estimation (%s)", fixed), p.stitched(data, fixed, unestimated), usualRatio)
	p.row("qualification", "− qualification", p.stitched(data, "δ off", unqualified), usualRatio)
}

// pairings compares the ways to choose pairs.
func (p *planner) pairings(data string) {
	for _, pairing := range pair.Strategies {
		settings := p.Settings.Stitching
		settings.StitchingSettings = settings.WithPairing(pairing)
		p.row(pairing, pairing, p.stitched(data, pairing+" pairs", settings), usualRatio)
	}
}

// parts compares the parts of DiffStitch, alone and together, and the baselines.
func (p *planner) parts(data string) {
	p.row(Original, methodNames[Original], data, allOriginal)
	for _, part := range partsOf(p.Settings.Stitching) {
		p.row(part.name, part.name, p.stitched(data, part.name, part.settings), stitchRatio)
	}
	for _, method := range []string{SynthER, TATU} {
		p.row(method, methodNames[method], p.generated(data, method), stitchRatio)
	}
}
