package stream

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"

	"diffstitch/io/datasetio"
	"diffstitch/io/snapshot"
	"diffstitch/io/storage"
	"diffstitch/io/trajectory"
)

// folder is where a life of a stream keeps what is not published yet:
//
//	planning.json                   what windows are planned by, by the driver
//	windows/START/window.json       what is in a window, written once, by the source
//	windows/START/input.json        the same as the dataset that it is
//	windows/START/in/               copies of its files
//	windows/START/…                 what the pipeline makes of them
//	windows/START/finished.json     that it is done, written last, by the pipeline
//	committed.json                  how far windows are published, by the driver
//	history-SEQUENCE.parquet        the latest episodes after that window, by the driver
//	notices/                        what the source has to tell, a file for each
//	stop                            that no more is to be taken, by the driver
//	drained.json                    that no more is taken, by the source
type folder string

func (f folder) windows() string           { return storage.Join(string(f), "windows") }
func (f folder) window(start int64) string { return datasetio.NumberedFolder(f.windows(), start) }
func (f folder) committed() string         { return storage.Join(string(f), "committed.json") }
func (f folder) notices() string           { return storage.Join(string(f), "notices") }
func (f folder) planning() string          { return storage.Join(string(f), "planning.json") }
func (f folder) stop() string              { return storage.Join(string(f), "stop") }
func (f folder) drained() string           { return storage.Join(string(f), "drained.json") }
func (f folder) history(after int64) string {
	return storage.Join(string(f), "history-"+strconv.FormatInt(after, 10)+".parquet")
}

// Names in the folder of a window.
const (
	windowName   = "window.json"
	copiesName   = "in"
	readName     = "read.json"
	metasName    = "metas.parquet"
	layoutName   = "layout"
	outcomesName = "outcomes.json"
	failuresName = "failures.json"
	latestName   = "latest.parquet"
	finishedName = "finished.json"
)

// maxJSON bounds what is read of a file here, in bytes.
const maxJSON = 256 << 20

// sealed is what is in a window: it never changes.
type sealed struct {
	// Sequence counts the windows that are published. It is the micro-snapshot's, and where
	// the ids of its episodes begin.
	Sequence int64 `json:"sequence"`
	Start    int64 `json:"start"` // ms since 1970
	End      int64 `json:"end"`
	// Files are those of the window; Late counts those that belonged to an earlier one.
	Files []datasetio.Arrival `json:"files"`
	Late  int                 `json:"late,omitempty"`
	// History is the file of earlier episodes that may be entered, "" of none.
	History string          `json:"history,omitempty"`
	Input   datasetio.Input `json:"input"`
}

// committed is how far windows are published.
type committed struct {
	Sequence int64  `json:"sequence"` // the last, or what was before the first
	End      int64  `json:"end"`      // of its window, ms since 1970
	Snapshot string `json:"snapshot"`
}

// drained is what a source leaves that takes no more.
type drained struct {
	Sequence int64    `json:"sequence"` // of the last window that was sealed
	Waiting  []string `json:"waiting"`  // files that are not whole
}

// finished is what the pipeline made of a window.
type finished struct {
	Sequence int64                 `json:"sequence"`
	Inputs   []snapshot.Input      `json:"inputs"`
	Parts    []trajectory.PartInfo `json:"parts"`
	Stages   []snapshot.Stage      `json:"stages"`
}

// idsEach is how many episodes a window may have, of either kind.
const idsEach = int64(1) << 32

// past is an episode that was published, by where its rows lie.
type past struct {
	ID       int64
	Part     string
	Row      int64
	Steps    int32
	Return   float64
	Score    float64
	End      uint8
	HasFinal bool
}

func (p past) meta(file int32) trajectory.Meta {
	return trajectory.Meta{
		ID: p.ID, Location: trajectory.Location{File: file, Row: p.Row, Rows: int64(p.Steps)},
		Steps: p.Steps, Return: p.Return, Score: p.Score, End: trajectory.End(p.End), HasFinal: p.HasFinal,
	}
}

// loadPast reads a history; there may be none.
func loadPast(path string) ([]past, error) {
	if path == "" {
		return nil, nil
	}
	return loadRecords[past](path)
}

// loadRecords reads records; there may be none.
func loadRecords[T any](path string) ([]T, error) {
	records, err := datasetio.LoadRecords[T](path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return records, err
}

// loadJSON reads a file, and says false where it is not there.
func loadJSON(path string, into any) (there bool, err error) {
	text, err := storage.ReadFile(path, maxJSON)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return false, fmt.Errorf("stream: reading %q: %w", path, err)
	}
	return true, nil
}

func exists(path string) (bool, error) {
	_, err := storage.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// inFlight are the windows that were sealed and are not published, in order.
func (f folder) inFlight() ([]sealed, error) {
	entries, err := storage.ReadDir(f.windows())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("stream: listing windows: %w", err)
	}
	var all []sealed
	for _, e := range entries {
		var s sealed
		there, err := loadJSON(storage.Join(f.windows(), e.Name(), windowName), &s)
		if err != nil {
			return nil, err
		}
		if there {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b sealed) int { return int(a.Sequence - b.Sequence) })
	return all, nil
}

// seal writes down what is in a window, if nobody did, and gives what was written first.
func (f folder) seal(s sealed) (sealed, error) {
	dir := f.window(s.Start)
	if err := storage.MkdirAll(storage.Join(dir, copiesName)); err != nil {
		return s, fmt.Errorf("stream: sealing a window: %w", err)
	}
	text, err := json.Marshal(s)
	if err != nil {
		return s, fmt.Errorf("stream: sealing a window: %w", err)
	}
	path := storage.Join(dir, windowName)
	if _, err := storage.Replace(path, text, storage.Absent); err != nil && !errors.Is(err, storage.ErrChanged) {
		return s, fmt.Errorf("stream: sealing a window: %w", err)
	}
	var first sealed
	there, err := loadJSON(path, &first)
	if err == nil && !there {
		err = fmt.Errorf("stream: sealing a window: %q is gone", path)
	}
	if err != nil {
		return s, err
	}
	return first, first.Input.Save(dir)
}
