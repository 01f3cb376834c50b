package minari

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"strconv"
	"strings"

	"diffstitch/io/layout"
	"diffstitch/io/parquet"
	"diffstitch/io/storage"
	"diffstitch/io/trajectory"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// minariVersion is the first that has the layout; later ones read it.
const minariVersion = "0.5.0"

// writer writes the layouts of Minari: a folder an episode.
type writer struct {
	config layout.ExportConfig
	data   string // folder
	schema *arrow.Schema

	episodes, steps int64
	// The range of actions, which are Minari's action space; of the
	// observations no bounds are known.
	low, high []float32
}

func newWriter(dir string, c layout.ExportConfig) *writer {
	w := &writer{
		config: c, data: storage.Join(dir, "data"),
		low: layout.Every(c.ActionDim, float32(math.Inf(1))), high: layout.Every(c.ActionDim, float32(math.Inf(-1))),
	}
	columns, infos := w.columns(&trajectory.Episode{ObservationDim: c.ObservationDim, ActionDim: c.ActionDim})
	var fields []arrow.Field
	for _, column := range columns {
		fields = append(fields, column.Field())
	}
	if c.Provenance {
		var members []arrow.Field
		for _, column := range infos {
			members = append(members, column.Field())
		}
		fields = append(fields, arrow.Field{Name: "infos", Type: arrow.StructOf(members...), Nullable: true})
	}
	w.schema = arrow.NewSchema(fields, nil)
	return w
}

// columns are the T+1 rows of an episode. The last holds the final observation,
// or repeats the one before where it is unknown, and zeros elsewhere.
func (w *writer) columns(e *trajectory.Episode) (columns, infos []layout.Series) {
	steps := e.Len()
	rewards := make([]float64, steps+1)
	for i, r := range e.Rewards {
		rewards[i] = float64(r)
	}
	var final []float32
	if steps > 0 {
		var known bool
		if final, known = e.NextObservation(steps - 1); !known {
			final = e.Observation(steps - 1)
		}
	}
	generated, bridgeErrors := layout.Bridge(e, steps+1, float32(math.NaN()))
	columns = []layout.Series{
		layout.Vector("observations", e.ObservationDim, append(e.Observations[:len(e.Observations):len(e.Observations)], final...)),
		layout.Vector("actions", e.ActionDim, append(e.Actions[:len(e.Actions):len(e.Actions)], make([]float32, e.ActionDim)...)),
		layout.Single("rewards", rewards),
		layout.Single("terminations", append(layout.LastOnly(steps, e.End == trajectory.Terminal), false)),
		layout.Single("truncations", append(layout.LastOnly(steps, e.End == trajectory.Timeout), false)),
	}
	ids, from := layout.Origins(e, steps+1)
	return columns, []layout.Series{
		layout.Single("generated", generated), layout.Single("from_episode_id", ids), layout.Single("from_step", from),
		layout.Single("qualification_error", bridgeErrors), layout.Single(layout.Residual, layout.Residuals(e, steps+1, float32(math.NaN()))),
	}
}

// Write makes a folder of the episode.
func (w *writer) Write(e *trajectory.Episode) error {
	if err := w.config.Check(e); err != nil {
		return err
	}
	for i, action := range e.Actions {
		at := i % e.ActionDim
		w.low[at], w.high[at] = min(w.low[at], action), max(w.high[at], action)
	}
	number, steps := w.episodes, int64(e.Len())
	meta := episode{ID: &number, TotalSteps: &steps, EpisodeID: &e.ID}
	if w.config.Provenance {
		meta.Source = e.Source()
		if trajectory.Paired(meta.Source) {
			meta.LowID, meta.HighID = &e.Provenance.LowID, &e.Provenance.HighID
		}
	}
	dir := storage.Join(w.data, strconv.FormatInt(number, 10))
	if err := errors.Join(w.writeRows(dir, e), layout.WriteJSON(storage.Join(dir, metadataFile), meta)); err != nil {
		return fmt.Errorf("dataset: exporting episode %d: %w", e.ID, err)
	}
	w.episodes++
	w.steps += steps
	return nil
}

func (w *writer) writeRows(dir string, e *trajectory.Episode) error {
	columns, infos := w.columns(e)
	builder := array.NewRecordBuilder(memory.DefaultAllocator, w.schema)
	for i, c := range columns {
		c.AppendTo(builder.Field(i))
	}
	if w.config.Provenance {
		members := builder.Field(len(columns)).(*array.StructBuilder)
		members.AppendValues(layout.Every(e.Len()+1, true))
		for i, c := range infos {
			c.AppendTo(members.FieldBuilder(i))
		}
	}
	rows := builder.NewRecordBatch()
	if w.config.Layout == layout.MinariParquet {
		return storage.CreateWhole(storage.Join(dir, "part-0.parquet"), func(out io.Writer) error {
			file, err := parquet.NewRecordWriter(out, w.schema, "source")
			if err != nil {
				return fmt.Errorf("dataset: %w", err)
			}
			return errors.Join(file.Write(rows), file.Close())
		})
	}
	return storage.CreateWhole(storage.Join(dir, "part-0.arrow"), func(out io.Writer) error {
		file, err := ipc.NewFileWriter(out, ipc.WithSchema(w.schema))
		if err != nil {
			return err
		}
		return errors.Join(file.Write(rows), file.Close())
	})
}

// Close describes the dataset.
func (w *writer) Close() error {
	size := int64(0)
	err := storage.Walk(w.data, func(_ string, info fs.FileInfo) error {
		size += info.Size()
		return nil
	})
	if err != nil {
		return fmt.Errorf("dataset: measuring %q: %w", w.data, err)
	}
	return layout.WriteJSON(storage.Join(w.data, metadataFile), map[string]any{
		"total_episodes":    w.episodes,
		"total_steps":       w.steps,
		"data_format":       strings.TrimPrefix(w.config.Layout, "minari-"),
		"observation_space": box(layout.Every(w.config.ObservationDim, float32(math.Inf(-1))), layout.Every(w.config.ObservationDim, float32(math.Inf(1)))),
		"action_space":      box(w.low, w.high),
		"dataset_id":        w.config.Name,
		"minari_version":    minariVersion,
		"dataset_size":      math.Round(float64(size)/1e5) / 10, // in MB
		"description":       "Exported by diffstitch; the action space is the range of the actions in the data.",
	})
}

// box is Gymnasium's space of vectors as Minari spells it.
func box(low, high []float32) string {
	return fmt.Sprintf(`{"type": "Box", "dtype": "float32", "shape": [%d], "low": %s, "high": %s}`, len(low), jsonNumbers(low), jsonNumbers(high))
}

// jsonNumbers is a list with Python's names of the infinities.
func jsonNumbers(values []float32) string {
	words := make([]string, len(values))
	for i, v := range values {
		switch {
		case math.IsInf(float64(v), 1):
			words[i] = "Infinity"
		case math.IsInf(float64(v), -1):
			words[i] = "-Infinity"
		default:
			words[i] = strconv.FormatFloat(float64(v), 'g', -1, 64)
		}
	}
	return "[" + strings.Join(words, ", ") + "]"
}
