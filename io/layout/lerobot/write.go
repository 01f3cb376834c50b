package lerobot

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"diffstitch/io/layout"
	"diffstitch/io/parquet"
	"diffstitch/io/storage"
	"diffstitch/io/trajectory"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// rowGroupRows is how many rows a row group of v3.0 has.
const rowGroupRows = 20_000

const (
	// chunkFiles is how many files a chunk has.
	chunkFiles = 1000
	// fileMB is the size after which v3.0 begins another file.
	fileMB = 100
	// episodeRows is how many episodes a row group of v3.0's meta/episodes has.
	episodeRows = 1000

	dataV21     = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
	dataV30     = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
	episodesV30 = "meta/episodes/chunk-%03d/file-%03d.parquet"
)

// absentID and absentError stand where D* has null: LeRobot's loader makes
// tensors of all columns, which hold no nulls.
const (
	absentID    = -1
	absentError = -1
)

// writer writes the layouts of LeRobot.
type writer struct {
	config   layout.ExportConfig
	dir      string
	episodes int64
	frames   int64
	stats    map[string]*featureStats // of all episodes
	features features
	schema   *arrow.Schema

	// Of v2.1: lists of JSON objects, a line an episode.
	lines, statLines *storage.Created
	// Of v3.0: the rows of all episodes, and a row for each of them.
	data, list *rolling
}

func newWriter(dir string, c layout.ExportConfig) (*writer, error) {
	if c.FPS < 1 {
		return nil, fmt.Errorf("dataset: LeRobot wants a whole number of steps per second, not %d", c.FPS)
	}
	w := &writer{config: c, dir: dir, stats: map[string]*featureStats{}}
	var fields []arrow.Field
	for _, column := range w.columns(&trajectory.Episode{ObservationDim: c.ObservationDim, ActionDim: c.ActionDim}) {
		fields = append(fields, column.Field())
		w.features = append(w.features, column)
	}
	w.schema = arrow.NewSchema(fields, nil)
	if c.Layout == layout.LeRobotV21 {
		var err error
		if w.lines, err = storage.Create(storage.Join(dir, "meta/episodes.jsonl")); err != nil {
			return nil, err
		}
		if w.statLines, err = storage.Create(storage.Join(dir, "meta/episodes_stats.jsonl")); err != nil {
			return nil, errors.Join(err, w.lines.Close())
		}
		return w, nil
	}
	w.data = newRolling(w.schema, rowGroupRows, fileMB<<20, func(chunk, file int) string {
		return storage.Join(dir, fmt.Sprintf("data/chunk-%03d/file-%03d.parquet", chunk, file))
	})
	w.list = newRolling(w.listSchema(), episodeRows, fileMB<<20, func(chunk, file int) string {
		return storage.Join(dir, fmt.Sprintf(episodesV30, chunk, file))
	})
	return w, nil
}

// columns are the rows of an episode: LeRobot's own columns, those of its
// reinforcement learning, and those that it takes as further features.
func (w *writer) columns(e *trajectory.Episode) []layout.Series {
	rows := e.Len()
	frames, indices, times := make([]int64, rows), make([]int64, rows), make([]float32, rows)
	for i := range rows {
		frames[i], indices[i] = int64(i), w.frames+int64(i)
		times[i] = float32(float64(i) / float64(w.config.FPS))
	}
	feature := func(name string, width int, values []float32) layout.Series {
		c := layout.Vector(name, width, values)
		c.List = width > 1 // what has one value is no list
		return c
	}
	columns := []layout.Series{
		feature("observation.state", e.ObservationDim, e.Observations),
		feature("action", e.ActionDim, e.Actions),
		layout.Single("timestamp", times),
		layout.Single("frame_index", frames),
		layout.Single("episode_index", layout.Every(rows, w.episodes)),
		layout.Single("index", indices),
		layout.Single("task_index", make([]int64, rows)),
		layout.Single("next.reward", e.Rewards),
		layout.Single("next.done", layout.LastOnly(rows, true)),
		layout.Single("next.truncated", layout.LastOnly(rows, e.End == trajectory.Timeout)),
		feature("next.observation.state", e.ObservationDim, layout.NextOf(e)),
		layout.Single("episode_id", layout.Every(rows, e.ID)),
	}
	if !w.config.Provenance {
		return columns
	}
	return append(columns, provenance(e)...)
}

// provenance are the columns that say where an episode comes from, without nulls.
func provenance(e *trajectory.Episode) []layout.Series {
	rows := e.Len()
	source, low, high := e.Source(), int64(absentID), int64(absentID)
	if trajectory.Paired(source) {
		low, high = e.Provenance.LowID, e.Provenance.HighID
	}
	generated, errors := layout.Bridge(e, rows, absentError)
	ids, steps := layout.Origins(e, rows)
	return []layout.Series{
		layout.Single("source", layout.Every(rows, source)),
		layout.Single("generated", generated),
		layout.Single("low_episode_id", layout.Every(rows, low)),
		layout.Single("high_episode_id", layout.Every(rows, high)),
		layout.Single("from_episode_id", ids),
		layout.Single("from_step", steps),
		layout.Single("qualification_error", errors),
		layout.Single(layout.Residual, layout.Residuals(e, rows, absentError)),
	}
}

// Write adds an episode.
func (w *writer) Write(e *trajectory.Episode) error {
	if err := w.config.Check(e); err != nil {
		return err
	}
	columns := w.columns(e)
	stats := map[string]*featureStats{}
	for _, c := range columns {
		s := statsOf(c)
		if s == nil {
			continue
		}
		stats[c.Name] = s
		if total := w.stats[c.Name]; total != nil {
			total.merge(s)
		} else {
			w.stats[c.Name] = s.clone()
		}
	}
	write := w.writeV30
	if w.config.Layout == layout.LeRobotV21 {
		write = w.writeV21
	}
	if err := write(e, columns, stats); err != nil {
		return fmt.Errorf("dataset: exporting episode %d: %w", e.ID, err)
	}
	w.episodes++
	w.frames += int64(e.Len())
	return nil
}

// writeV21 makes a file of the episode.
func (w *writer) writeV21(e *trajectory.Episode, columns []layout.Series, stats map[string]*featureStats) error {
	path := storage.Join(w.dir, fmt.Sprintf("data/chunk-%03d/episode_%06d.parquet", w.episodes/chunkFiles, w.episodes))
	err := storage.CreateWhole(path, func(out io.Writer) error { return writeRecord(out, w.schema, columns) })
	return errors.Join(err,
		writeLine(w.lines, map[string]any{"episode_index": w.episodes, "tasks": []string{w.config.Task}, "length": e.Len()}),
		writeLine(w.statLines, map[string]any{"episode_index": w.episodes, "stats": stats}),
	)
}

func writeLine(out io.Writer, v any) error {
	data, err := json.Marshal(v)
	if err == nil {
		_, err = out.Write(append(data, '\n'))
	}
	return err
}

// writeRecord makes a Parquet file of one row group.
func writeRecord(out io.Writer, schema *arrow.Schema, columns []layout.Series) error {
	w, err := parquet.NewRecordWriter(out, schema, "source")
	if err != nil {
		return fmt.Errorf("dataset: %w", err)
	}
	return errors.Join(w.Write(record(schema, columns)), w.Close())
}

func record(schema *arrow.Schema, columns []layout.Series) arrow.RecordBatch {
	builder := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	for i, c := range columns {
		c.AppendTo(builder.Field(i))
	}
	return builder.NewRecordBatch()
}

// writeV30 adds the episode's rows to those of others, and a row to the list of
// episodes.
func (w *writer) writeV30(e *trajectory.Episode, columns []layout.Series, stats map[string]*featureStats) error {
	chunk, file := int64(w.data.chunk), int64(w.data.file)
	for i, c := range columns {
		c.AppendTo(w.data.builder.Field(i))
	}
	row := []any{
		w.episodes, []string{w.config.Task}, int64(e.Len()), chunk, file, w.frames, w.frames + int64(e.Len()),
		int64(w.list.chunk), int64(w.list.file),
	}
	for _, c := range w.features {
		if s := stats[c.Name]; s != nil {
			row = append(row, s.Min, s.Max, s.Mean, s.Std, s.Count)
		}
	}
	for i, value := range row {
		appendCell(w.list.builder.Field(i), value)
	}
	return errors.Join(w.data.added(), w.list.added())
}

// appendCell adds a number or a list to a column of the list of episodes.
func appendCell(builder array.Builder, value any) {
	if lists, ok := builder.(*array.ListBuilder); ok {
		lists.Append(true)
		layout.Series{Values: value}.AppendTo(lists.ValueBuilder())
		return
	}
	builder.(*array.Int64Builder).Append(value.(int64))
}

// listSchema is that of v3.0's meta/episodes.
func (w *writer) listSchema() *arrow.Schema {
	number := arrow.PrimitiveTypes.Int64
	fields := []arrow.Field{
		{Name: "episode_index", Type: number},
		{Name: "tasks", Type: arrow.ListOf(arrow.BinaryTypes.String)},
	}
	for _, name := range []string{
		"length", "data/chunk_index", "data/file_index", "dataset_from_index", "dataset_to_index",
		"meta/episodes/chunk_index", "meta/episodes/file_index",
	} {
		fields = append(fields, arrow.Field{Name: name, Type: number})
	}
	for _, c := range w.features {
		if _, ok := numbers(c.Values); !ok {
			continue
		}
		for _, name := range []string{"min", "max", "mean", "std"} {
			fields = append(fields, arrow.Field{Name: "stats/" + c.Name + "/" + name, Type: arrow.ListOf(arrow.PrimitiveTypes.Float64)})
		}
		fields = append(fields, arrow.Field{Name: "stats/" + c.Name + "/count", Type: arrow.ListOf(number)})
	}
	for i := range fields {
		fields[i].Nullable = true
	}
	return arrow.NewSchema(fields, nil)
}

// Close ends the files and describes them.
func (w *writer) Close() error {
	var err error
	if w.config.Layout == layout.LeRobotV21 {
		err = errors.Join(w.lines.Close(), w.statLines.Close(),
			storage.CreateWhole(storage.Join(w.dir, "meta/tasks.jsonl"), func(out io.Writer) error {
				return writeLine(out, map[string]any{"task_index": 0, "task": w.config.Task})
			}))
	} else {
		err = errors.Join(w.data.close(), w.list.close(), w.writeTasks(), layout.WriteJSON(storage.Join(w.dir, "meta/stats.json"), w.stats))
	}
	return errors.Join(err, layout.WriteJSON(storage.Join(w.dir, infoFile), w.info()))
}
