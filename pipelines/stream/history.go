package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"diffstitch/io/dataset"
	"diffstitch/io/datasetio"
	"diffstitch/io/snapshot"
	"diffstitch/io/trajectory"
)

func saveHistory(path string, history []past) error {
	return datasetio.SaveRecords(context.Background(), path, history)
}

// remembered is what a stream that begins takes up from what is published.
type remembered struct {
	latest   []past // the latest original episodes, in order
	before   []past // those without the last micro-snapshot's
	sequence int64  // of the last window; -1 before the first
}

// remember reads what is published: the latest episodes of a stream, newest files first, as
// far as they are needed, and all of it where another command made it, since ids must not
// come twice.
func remember(ctx context.Context, s snapshot.Snapshot, latest int, scoring trajectory.Scoring) (r remembered, err error) {
	r.sequence = -1
	if s.ID == "" {
		return r, nil
	}
	if s.Manifest.Stream != nil {
		r.sequence = s.Manifest.Stream.Sequence
	}
	parts, files := s.Manifest.Parts, s.Files()
	most, old := int64(-1), 0
	for i := len(parts) - 1; i >= 0; i-- {
		if s.Manifest.Stream != nil && len(r.latest)-old >= latest {
			break
		}
		episodes, id, err := pastOf(ctx, files[i], scoring)
		if err != nil {
			return r, err
		}
		most = max(most, id)
		r.latest = append(episodes, r.latest...)
		if parts[i].Snapshot == "" && s.Manifest.Stream != nil {
			old += len(episodes)
		}
		if s.Manifest.Stream == nil {
			r.latest = r.latest[max(0, len(r.latest)-latest):]
		}
	}
	if s.Manifest.Stream == nil && most >= 0 {
		if r.sequence = most / idsEach; r.sequence >= 1<<30 {
			return r, fmt.Errorf("stream: an episode of %s has the id %d, after which there is no room for those of a stream: stream into a folder of its own", s.ID, most)
		}
	}
	r.before = newest(r.latest[:len(r.latest)-old], latest)
	r.latest = newest(r.latest, latest)
	return r, nil
}

func newest(all []past, latest int) []past { return slices.Clone(all[max(0, len(all)-latest):]) }

// pastOf are the original episodes of a file of D*, and the largest id in it.
func pastOf(ctx context.Context, path string, scoring trajectory.Scoring) (all []past, most int64, err error) {
	f, err := dataset.Open(path, dataset.Options{Layout: dataset.Transitions})
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for item, err := range f.Episodes(ctx) {
		if err == nil && item.Reject != nil {
			err = fmt.Errorf("row %d: %s: %s", item.Reject.Row, item.Reject.Reason, item.Reject.Detail)
		}
		if err != nil {
			return nil, 0, fmt.Errorf("stream: reading %q, which is published: %w", path, err)
		}
		e := item.Episode
		most = max(most, e.ID)
		if e.Provenance != nil {
			continue
		}
		_, known := e.KnownNext(e.Len() - 1)
		all = append(all, past{e.ID, path, item.Location.Row, int32(e.Len()), e.Return(), scoring.Of(e), uint8(e.End), known})
	}
	return all, most, nil
}
