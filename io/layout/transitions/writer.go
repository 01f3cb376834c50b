package transitions

import (
	"fmt"
	"io"

	"diffstitch/io/layout"
	"diffstitch/io/parquet"
	"diffstitch/io/trajectory"
)

// DefaultRowGroupRows is how many rows a row group has where nothing is said.
const DefaultRowGroupRows = 20_000

// WriterConfig is the shape of what is written.
type WriterConfig struct {
	ObservationDim int // S
	ActionDim      int // A
	// OriginalIDs is whether there is a column for ids that are text.
	OriginalIDs bool
	// RowGroupRows is the number of rows after which a row group ends, with the
	// episode that reached it; DefaultRowGroupRows where 0.
	RowGroupRows int
}

func (c WriterConfig) validate() error {
	if err := layout.CheckWidths(c.ObservationDim, c.ActionDim); err != nil {
		return err
	}
	if c.RowGroupRows < 0 {
		return fmt.Errorf("dataset: row groups of %d rows", c.RowGroupRows)
	}
	return nil
}

// Writer writes episodes as a table of D*, one row a transition. The same
// episodes give the same bytes. It is not safe for concurrent use.
type Writer struct {
	config WriterConfig
	out    *parquet.Writer
	rows   rowBuffer
}

// rowBuffer holds the rows of the row group being filled.
type rowBuffer struct {
	ids                         []int64
	steps                       []int32
	observations, next, actions []float32
	rewards                     []float32
	terminals, timeouts         []bool
	sources                     []parquet.Text
	generated                   []bool
	lowIDs, highIDs             []int64        // of the rows that have one
	derived                     []int16        // 1 where a row has ids, else 0
	fromIDs                     []int64        // of the rows that have one
	fromSteps                   []int32        // of the same
	taken                       []int16        // 1 where a row of a stitch is another episode's, else 0
	errors                      []float32      // of the rows that have one
	judged                      []int16        // 1 where a row has an error, else 0
	residuals                   []float32      // of the rows that have one
	refined                     []int16        // 1 where a row has one, else 0
	originalIDs                 []parquet.Text // of the rows that have one
	named                       []int16        // 1 where a row has one, else 0
}

// NewWriter begins a file. The caller closes w after the Writer.
func NewWriter(w io.Writer, config WriterConfig) (*Writer, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	if config.RowGroupRows == 0 {
		config.RowGroupRows = DefaultRowGroupRows
	}
	out, err := parquet.NewWriter(w, Columns(config))
	if err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	return &Writer{config: config, out: out}, nil
}

// Columns are the columns of D* as a Writer writes them. What a query may be after has
// statistics, and what repeats a dictionary.
func Columns(c WriterConfig) []parquet.Field {
	columns := []parquet.Field{
		{Name: "episode_id", Kind: parquet.Int64, Stats: true},
		{Name: "step", Kind: parquet.Int32, Stats: true},
		{Name: "observations", Kind: parquet.Float, List: c.ObservationDim},
		{Name: "actions", Kind: parquet.Float, List: c.ActionDim},
		{Name: "rewards", Kind: parquet.Float, Stats: true},
		{Name: "next_observations", Kind: parquet.Float, List: c.ObservationDim},
		{Name: "terminals", Kind: parquet.Boolean},
		{Name: "timeouts", Kind: parquet.Boolean},
		{Name: "source", Kind: parquet.ByteArray, Stats: true, Dictionary: true},
		{Name: "generated", Kind: parquet.Boolean, Stats: true},
		{Name: "low_episode_id", Kind: parquet.Int64, Nullable: true, Stats: true, Dictionary: true},
		{Name: "high_episode_id", Kind: parquet.Int64, Nullable: true, Stats: true, Dictionary: true},
		{Name: "from_episode_id", Kind: parquet.Int64, Nullable: true, Stats: true, Dictionary: true},
		{Name: "from_step", Kind: parquet.Int32, Nullable: true, Stats: true},
		{Name: "qualification_error", Kind: parquet.Float, Nullable: true, Stats: true},
		{Name: layout.Residual, Kind: parquet.Float, Nullable: true, Stats: true},
	}
	if c.OriginalIDs {
		columns = append(columns, parquet.Field{Name: "original_id", Kind: parquet.ByteArray, Nullable: true, Stats: true, Dictionary: true})
	}
	return columns
}

// Write appends an episode. It may end the row group, after the episode.
func (w *Writer) Write(e *trajectory.Episode) error {
	if e.ObservationDim != w.config.ObservationDim || e.ActionDim != w.config.ActionDim {
		return fmt.Errorf("dataset: writing episode %d: it has %d observation and %d action values, the file %d and %d",
			e.ID, e.ObservationDim, e.ActionDim, w.config.ObservationDim, w.config.ActionDim)
	}
	if err := e.Validate(); err != nil {
		return fmt.Errorf("dataset: writing: %w", err)
	}
	w.rows.add(e)
	if len(w.rows.ids) >= w.config.RowGroupRows {
		return w.EndRowGroup()
	}
	return nil
}

// EndRowGroup writes the rows so far as a row group; where there are none it
// does nothing.
func (w *Writer) EndRowGroup() error {
	r := &w.rows
	if len(r.ids) == 0 {
		return nil
	}
	columns := []parquet.Cells{
		parquet.Values(r.ids), parquet.Values(r.steps), parquet.Lists(r.observations), parquet.Lists(r.actions),
		parquet.Values(r.rewards), parquet.Lists(r.next), parquet.Values(r.terminals), parquet.Values(r.timeouts),
		parquet.Values(r.sources), parquet.Values(r.generated),
		parquet.Optional(r.lowIDs, r.derived), parquet.Optional(r.highIDs, r.derived),
		parquet.Optional(r.fromIDs, r.taken), parquet.Optional(r.fromSteps, r.taken), parquet.Optional(r.errors, r.judged),
		parquet.Optional(r.residuals, r.refined),
	}
	if w.config.OriginalIDs {
		columns = append(columns, parquet.Optional(r.originalIDs, r.named))
	}
	if err := w.out.WriteGroup(columns...); err != nil {
		return fmt.Errorf("dataset: %w", err)
	}
	r.reset()
	return nil
}

// Close writes what is left and the footer. It does not close the underlying
// writer.
func (w *Writer) Close() error {
	if err := w.EndRowGroup(); err != nil {
		return err
	}
	if err := w.out.Close(); err != nil {
		return fmt.Errorf("dataset: %w", err)
	}
	return nil
}

func (r *rowBuffer) add(e *trajectory.Episode) {
	steps := e.Len()
	r.observations = append(r.observations, e.Observations...)
	r.actions = append(r.actions, e.Actions...)
	r.rewards = append(r.rewards, e.Rewards...)
	r.next = layout.AppendNext(r.next, e)
	for step := range steps {
		last := step == steps-1
		r.ids = append(r.ids, e.ID)
		r.steps = append(r.steps, int32(step))
		r.terminals = append(r.terminals, last && e.End == trajectory.Terminal)
		r.timeouts = append(r.timeouts, last && e.End == trajectory.Timeout)
	}
	r.addProvenance(e)
	r.addOriginalID(e)
}

func (r *rowBuffer) addOriginalID(e *trajectory.Episode) {
	for range e.Len() {
		if e.OriginalID == "" {
			r.named = append(r.named, 0)
			continue
		}
		r.named = append(r.named, 1)
		r.originalIDs = append(r.originalIDs, parquet.Text(e.OriginalID))
	}
}

func (r *rowBuffer) addProvenance(e *trajectory.Episode) {
	p := e.Provenance
	if p == nil {
		p = &trajectory.Provenance{}
	}
	source := parquet.Text(e.Source())
	derived := level(trajectory.Paired(e.Source()))
	generated := layout.Generated(e)
	for step := range e.Len() {
		r.sources = append(r.sources, source)
		r.derived = append(r.derived, derived)
		if derived == 1 {
			r.lowIDs = append(r.lowIDs, p.LowID)
			r.highIDs = append(r.highIDs, p.HighID)
		}
		r.judged = append(r.judged, level(generated[step] && len(p.Errors) > 0))
		r.refined = append(r.refined, level(generated[step] && len(p.Residuals) > 0))
	}
	r.generated = append(r.generated, generated...)
	r.errors = append(r.errors, p.Errors...)
	r.residuals = append(r.residuals, p.Residuals...)
	r.addOrigins(e)
}

// addOrigins says of the real rows of a stitch where they come from.
func (r *rowBuffer) addOrigins(e *trajectory.Episode) {
	ids, steps := layout.Origins(e, e.Len())
	for row, step := range steps {
		r.taken = append(r.taken, level(step >= 0))
		if step >= 0 {
			r.fromIDs, r.fromSteps = append(r.fromIDs, ids[row]), append(r.fromSteps, int32(step))
		}
	}
}

// level is 1 where a row has a value.
func level(has bool) int16 {
	if has {
		return 1
	}
	return 0
}

func (r *rowBuffer) reset() {
	*r = rowBuffer{
		ids: r.ids[:0], steps: r.steps[:0], observations: r.observations[:0], next: r.next[:0], actions: r.actions[:0],
		rewards: r.rewards[:0], terminals: r.terminals[:0], timeouts: r.timeouts[:0], sources: r.sources[:0],
		generated: r.generated[:0], lowIDs: r.lowIDs[:0], highIDs: r.highIDs[:0], derived: r.derived[:0],
		fromIDs: r.fromIDs[:0], fromSteps: r.fromSteps[:0], taken: r.taken[:0],
		errors: r.errors[:0], judged: r.judged[:0], residuals: r.residuals[:0], refined: r.refined[:0], originalIDs: r.originalIDs[:0], named: r.named[:0],
	}
}
