package datasetio

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"runtime"
	"slices"
	"sync"

	"diffstitch/io/dataset"
	"diffstitch/io/storage"
	"diffstitch/io/trajectory"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
)

func init() {
	beam.RegisterDoFn(&anchorsFn{})
	beam.RegisterDoFn(&crossingsFn{})
	registerRecords[Surveyed]()
}

var (
	anchorsFound   = beam.NewCounter("survey", "anchors")
	statesSearched = beam.NewCounter("survey", "states")
	crossingsFound = beam.NewCounter("survey", "crossings")
)

// Survey says where the data is looked through for crossings: states near which an
// episode may be left for another one. It goes in passes, of which each looks for what is
// worth most if one bridge more may follow than in the pass before.
type Survey struct {
	Dir  string `json:"dir"` // of what is found
	Pass int    `json:"pass"`
	// Scale is what a difference of states is divided by before it is measured, [S]: what
	// one step changes, so that distances are in steps.
	Scale []float32 `json:"scale"`
	// Reach is the largest distance of a crossing.
	Reach float64 `json:"reach"`
	// Lead is how many steps before an anchor a bridge to it begins: the first anchor of
	// an episode.
	Lead int `json:"lead"`
	// Stride is how far apart the anchors of an episode lie.
	Stride int `json:"stride"`
	// EntryStride is how far apart the states lie at which an episode is entered.
	EntryStride int     `json:"entry_stride"`
	Discount    float64 `json:"discount"`
}

// Surveyed is a split whose anchors, or crossings into whose episodes, lie in a file.
type Surveyed struct {
	Split
	Found int64
}

// Crossings gives a PCollection<Surveyed> of the crossings into each split's episodes, for
// LoadAnchors, after the first pass, and LoadCrossings. Later ones need SaveGains. A worker holds the states of a split, indexed, and
// all anchors, of which the stride leaves a bounded number.
func Crossings(s beam.Scope, in Input, shape Shape, survey Survey) beam.PCollection {
	s = s.Scope("datasetio.Crossings")
	splits, _ := beam.ParDo2(s, &splitFn{Input: in, Shape: shape, Bytes: splitBytes}, fileIndices(s, in))
	splits = beam.Reshuffle(s, splits)
	var anchors beam.PCollection
	if survey.Pass > 0 {
		anchors = beam.Create(s, survey.anchorsList())
	} else {
		anchors = WriteRecords[Surveyed](s, survey.anchorsList(), beam.ParDo(s, &anchorsFn{Input: in, Survey: survey}, splits))
	}
	found := beam.ParDo(s, &crossingsFn{fetcher{Input: in}, survey}, splits, beam.SideInput{Input: anchors})
	return WriteRecords[Surveyed](s, survey.crossingsList(), found)
}

func (v Survey) anchorsList() string   { return storage.Join(v.Dir, "anchors.parquet") }
func (v Survey) crossingsList() string { return storage.Join(v.Dir, v.crossings()+".parquet") }
func (v Survey) gains() string {
	return storage.Join(v.Dir, fmt.Sprintf("gains-%02d.parquet", v.Pass))
}

// crossings is the prefix of what a pass found.
func (v Survey) crossings() string { return fmt.Sprintf("crossings-%02d", v.Pass) }

// SaveGains leaves what can be gained at each anchor to the workers of the pass.
func (v Survey) SaveGains(ctx context.Context, gains []trajectory.Gain) error {
	return SaveRecords(ctx, v.gains(), gains)
}

// loadGains gives what SaveGains left; nothing in the first pass.
func (v Survey) loadGains() ([]trajectory.Gain, error) {
	if v.Pass == 0 {
		return nil, nil
	}
	return LoadRecords[trajectory.Gain](v.gains())
}

// file is where what was found in a split lies.
func (v Survey) file(what string, s Split) string {
	return storage.Join(v.Dir, fmt.Sprintf("%s-%05d-%06d.parquet", what, s.File, s.Groups.From))
}

// LoadAnchors gives the anchors, in the data's order.
func (v Survey) LoadAnchors() ([]trajectory.Anchor, error) {
	var anchors []trajectory.Anchor
	err := v.each(v.anchorsList(), func(s Split) error {
		some, err := LoadRecords[trajectory.Anchor](v.file("anchors", s))
		anchors = append(anchors, some...)
		return err
	})
	return anchors, err
}

// LoadCrossings hands out the crossings, those into a split's episodes at a time.
func (v Survey) LoadCrossings(use func([]trajectory.Crossing)) error {
	return v.each(v.crossingsList(), func(s Split) error {
		some, err := LoadRecords[trajectory.Crossing](v.file(v.crossings(), s))
		use(some)
		return err
	})
}

// each goes through the splits of a list in which something was found, in the data's
// order.
func (v Survey) each(list string, use func(Split) error) error {
	splits, err := LoadRecords[Surveyed](list)
	if errors.Is(err, fs.ErrNotExist) { // there is none
		return nil
	}
	slices.SortFunc(splits, func(a, b Surveyed) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Groups.From, b.Groups.From))
	})
	for _, s := range splits {
		if s.Found > 0 {
			err = errors.Join(err, use(s.Split))
		}
	}
	return err
}

// rests are the discounted sums of an episode's rewards from each step on, [T+1].
func (v Survey) rests(e *trajectory.Episode) []float64 {
	rests := make([]float64, e.Len()+1)
	for step := e.Len() - 1; step >= 0; step-- {
		rests[step] = float64(e.Rewards[step]) + v.Discount*rests[step+1]
	}
	return rests
}

type anchorsFn struct {
	Input  Input  `json:"input"`
	Survey Survey `json:"survey"`
}

func (fn *anchorsFn) ProcessElement(ctx context.Context, split Split) (Surveyed, error) {
	var anchors []trajectory.Anchor
	err := fn.Input.usable(ctx, split, func(e *trajectory.Episode, m trajectory.Meta) {
		anchors = fn.Survey.appendAnchors(anchors, e, m)
	})
	if err == nil {
		err = SaveRecords(ctx, fn.Survey.file("anchors", split), anchors)
	}
	anchorsFound.Inc(ctx, int64(len(anchors)))
	return Surveyed{split, int64(len(anchors))}, err
}

func (v Survey) appendAnchors(anchors []trajectory.Anchor, e *trajectory.Episode, m trajectory.Meta) []trajectory.Anchor {
	rests := v.rests(e)
	for step := v.Lead; step <= e.Len(); step += v.Stride {
		state, known := stateAt(e, step)
		if !known {
			break
		}
		anchors = append(anchors, trajectory.Anchor{File: m.Location.File, Row: m.Location.Row, Step: int32(step), Rest: rests[step], State: state})
	}
	return anchors
}

// stateAt is an episode's state before a step, or after the last, where it is known.
func stateAt(e *trajectory.Episode, step int) ([]float32, bool) {
	if step < e.Len() {
		return e.Observation(step), true
	}
	return e.NextObservation(step - 1)
}

// usable hands out the episodes of a split that reading found usable.
func (in Input) usable(ctx context.Context, split Split, use func(*trajectory.Episode, trajectory.Meta)) error {
	return in.scan(ctx, split, use, func(dataset.Reject) {})
}

type crossingsFn struct {
	fetcher
	Survey Survey `json:"survey"`
}

// anchorsAtOnce is how many anchors one goroutine looks around at a time.
const anchorsAtOnce = 1024

func (fn *crossingsFn) ProcessElement(ctx context.Context, split Split, _ string) (Surveyed, error) {
	anchors, err := fn.store.anchors(fn.Survey)
	if err != nil {
		return Surveyed{}, err
	}
	index, err := fn.index(ctx, split, anchors)
	if err != nil {
		return Surveyed{}, err
	}
	found := index.aroundAll(anchors)
	crossingsFound.Inc(ctx, int64(len(found)))
	return Surveyed{split, int64(len(found))}, SaveRecords(ctx, fn.Survey.file(fn.Survey.crossings(), split), found)
}

// aroundAll are the crossings at all anchors, those of each one after the other.
func (x *stateIndex) aroundAll(anchors []trajectory.Anchor) []trajectory.Crossing {
	blocks := make([][]trajectory.Crossing, (len(anchors)+anchorsAtOnce-1)/anchorsAtOnce)
	var work sync.WaitGroup
	turns := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i := range blocks {
		turns <- struct{}{}
		work.Go(func() {
			blocks[i] = x.around(anchors, i*anchorsAtOnce, min((i+1)*anchorsAtOnce, len(anchors)))
			<-turns
		})
	}
	work.Wait()
	return slices.Concat(blocks...)
}

// AnchorsHere are the anchors of some episodes, which are looked through in this process:
// those of a window of a stream. LookHere finds the crossings.
func (v Survey) AnchorsHere(st *Store, episodes []trajectory.Meta) (anchors []trajectory.Anchor, err error) {
	for _, m := range episodes {
		e, err := st.Episode(m)
		if err != nil {
			return nil, err
		}
		anchors = v.appendAnchors(anchors, e, m)
	}
	return anchors, nil
}

// LookHere is a pass over some episodes, in the data's order, in this process. gains are
// those of each anchor after the pass before, none in the first.
func (v Survey) LookHere(st *Store, episodes []trajectory.Meta, anchors []trajectory.Anchor, gains []trajectory.Gain) ([]trajectory.Crossing, error) {
	index := newStateIndex(v, anchors)
	for _, m := range episodes {
		e, err := st.Episode(m)
		if err != nil {
			return nil, err
		}
		rests := v.rests(e)
		index.add(e, m, rests, v.values(rests, m, anchors, gains))
	}
	index.build()
	return index.aroundAll(anchors), nil
}

// anchorsKey is the anchors of a survey, in a store's cache.
type anchorsKey struct{ Dir string }

// anchors loads the anchors, or takes those that are kept.
func (st *Store) anchors(v Survey) ([]trajectory.Anchor, error) {
	anchors, _, err := dataset.Cached(st.cache, anchorsKey{v.Dir}, func() ([]trajectory.Anchor, int64, error) {
		anchors, err := v.LoadAnchors()
		return anchors, int64(len(anchors)) * (entryBytes + 4*int64(len(v.Scale))), err
	})
	return anchors, err
}

// index is that of the states of a split's episodes at which these can be entered.
func (fn *crossingsFn) index(ctx context.Context, split Split, anchors []trajectory.Anchor) (*stateIndex, error) {
	gains, err := fn.Survey.loadGains()
	if err != nil {
		return nil, err
	}
	index := newStateIndex(fn.Survey, anchors)
	err = fn.Input.usable(ctx, split, func(e *trajectory.Episode, m trajectory.Meta) {
		rests := fn.Survey.rests(e)
		index.add(e, m, rests, fn.Survey.values(rests, m, anchors, gains))
	})
	index.build()
	statesSearched.Inc(ctx, int64(len(index.entries)))
	return index, err
}

// values are what can be earned from each step of an episode on, [T+1]: its own rewards
// alone in the first pass, and then what is gained by leaving it too, at least one step
// after it was entered.
func (v Survey) values(rests []float64, m trajectory.Meta, anchors []trajectory.Anchor, gains []trajectory.Gain) []float64 {
	if len(gains) == 0 {
		return rests
	}
	at, _ := slices.BinarySearchFunc(anchors, m.Location, func(a trajectory.Anchor, of trajectory.Location) int { return a.Location().Compare(of) })
	values := slices.Clone(rests)
	for step := range values {
		for at < len(anchors) && ofEpisode(anchors[at], m) && int(anchors[at].Step) < step+1+v.Lead {
			at++
		}
		if at == len(anchors) || !ofEpisode(anchors[at], m) {
			break
		}
		values[step] += math.Pow(v.Discount, float64(int(anchors[at].Step)-step)) * gains[at].Gain
	}
	return values
}

func ofEpisode(a trajectory.Anchor, m trajectory.Meta) bool {
	return a.Location().Compare(m.Location) == 0
}
