package stream

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"diffstitch/io/dataset"
	"diffstitch/io/snapshot"
)

// file is a ready file of an event time, in ms.
func file(at, bytes int64) ready {
	return ready{listed{path: fmt.Sprint(at), bytes: bytes}, at}
}

func TestCut(t *testing.T) {
	many := make([]ready, mostFiles+3)
	for i := range many {
		many[i] = file(1005, 1)
	}
	for _, test := range []struct {
		name                string
		all                 []ready
		watermark, frontier int64
		start               int64
		files               int
	}{
		{"nothing", nil, 0, 9999, 0, 0},
		{"a window that is over", []ready{file(1005, 1), file(1008, 1)}, 0, 1010, 1000, 2},
		{"one that may get more", []ready{file(1005, 1)}, 0, 1009, 0, 0},
		{"two windows", []ready{file(1005, 1), file(1015, 1)}, 0, 9999, 1000, 1},
		{"late ones go into the next", []ready{file(500, 1), file(1001, 1), file(1015, 1)}, 1000, 9999, 1000, 2},
		{"late ones alone", []ready{file(500, 1)}, 1000, 9999, 1000, 1},
		{"more than a window has", many, 0, 9999, 1000, mostFiles},
		{"more bytes than one has", []ready{file(1001, mostBytes-1), file(1002, 1), file(1003, 1)}, 0, 9999, 1000, 2},
		{"a file that is more by itself", []ready{file(1001, 2*mostBytes), file(1002, 1)}, 0, 9999, 1000, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			start, files := cut(test.all, test.watermark, test.frontier, 10)
			if start != test.start || len(files) != test.files {
				t.Errorf("%d files from %d, want %d from %d", len(files), start, test.files, test.start)
			}
		})
	}
}

// TestLook follows files from their appearance to when they can be taken.
func TestLook(t *testing.T) {
	w := newWatcher(dataset.Options{})
	isWhole := false
	w.whole = func(string) (bool, error) { return isWhole, nil }
	w.hash = func(path string) (string, error) { return "of " + path, nil }
	at := time.Unix(1000, 0)
	w.known, w.since = map[string]snapshot.Input{
		"same":      {Path: "same", Bytes: 1, SHA256: "of same", Modified: &at},
		"touched":   {Path: "touched", Bytes: 1, SHA256: "of touched", Modified: &at},
		"rewritten": {Path: "rewritten", Bytes: 1, SHA256: "of another", Modified: &at},
	}, at
	later := at.Add(time.Second).UnixNano()
	known := []listed{{"same", 1, at.UnixNano()}, {"touched", 1, later}, {"rewritten", 1, later}}
	look := func(busy map[string]bool, more ...listed) looked {
		t.Helper()
		l, err := w.look(at.Add(2*time.Second), append(slices.Clone(known), more...), busy)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	check := func(what string, l looked, ready, waiting, rewritten int) {
		t.Helper()
		if len(l.ready) != ready || len(l.waiting) != waiting || len(l.rewritten) != rewritten {
			t.Errorf("%s: %d ready, %d waiting, %d rewritten; want %d, %d, %d", what, len(l.ready), len(l.waiting), len(l.rewritten), ready, waiting, rewritten)
		}
	}
	half, whole := listed{"new", 5, later}, listed{"new", 9, later}
	check("what is seen first", look(nil, half), 0, 0, 0)
	check("half of it", look(nil, half), 0, 1, 1)
	isWhole = true
	check("as it has grown", look(nil, whole), 0, 0, 0)
	check("once it stays", look(nil, whole), 1, 0, 0)
	check("on its way", look(map[string]bool{"new": true}, whole), 0, 0, 0)
	check("gone", look(nil), 0, 0, 0)
	check("there again", look(nil, whole), 0, 0, 0)
	l := look(nil, whole)
	check("and again", l, 1, 0, 0)
	if len(l.ready) == 1 && l.ready[0].at != later/1e6 {
		t.Errorf("its time is %d, not that of its last change", l.ready[0].at)
	}
}
