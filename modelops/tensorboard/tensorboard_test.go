package tensorboard

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// point is what is read back.
type point struct {
	Step  int     `json:"step"`
	Tag   string  `json:"tag"`
	Value float64 `json:"value"`
}

var points = []point{{0, "loss", 0.5}, {0, "score", -2}, {300, "loss", 0.25}, {300, "score", 1e6}}

func eventFile(t *testing.T) []byte {
	t.Helper()
	var file bytes.Buffer
	if err := Begin(&file); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(points); i += 2 {
		a, b := points[i], points[i+1]
		if err := Write(&file, a.Step, Scalar{a.Tag, a.Value}, Scalar{b.Tag, b.Value}); err != nil {
			t.Fatal(err)
		}
	}
	return file.Bytes()
}

// TestRecords reads the file byte by byte, after the formats' descriptions.
func TestRecords(t *testing.T) {
	file := eventFile(t)
	var got []point
	for first := true; len(file) > 0; first = false {
		length := binary.LittleEndian.Uint64(file)
		if sum := binary.LittleEndian.Uint32(file[8:]); unmasked(sum) != crc32.Checksum(file[:8], crc32.MakeTable(crc32.Castagnoli)) {
			t.Fatal("wrong checksum of a length")
		}
		event, rest := file[12:12+length], file[12+length:]
		if unmasked(binary.LittleEndian.Uint32(rest)) != crc32.Checksum(event, crc32.MakeTable(crc32.Castagnoli)) {
			t.Fatal("wrong checksum of an event")
		}
		file = rest[4:]
		if event[0] != 1<<3|1 {
			t.Fatalf("an event begins with %#x, not with its time", event[0])
		}
		if at := math.Float64frombits(binary.LittleEndian.Uint64(event[1:])); math.Abs(at-float64(time.Now().Unix())) > 3600 {
			t.Errorf("time %v", at)
		}
		if first {
			if string(event[9:]) != "\x1a\x0dbrain.Event:2" {
				t.Errorf("the first event is %q", event[9:])
			}
			continue
		}
		got = append(got, summary(t, event[9:])...)
	}
	if diff := cmp.Diff(points, got); diff != "" {
		t.Errorf("points (-written +read):\n%s", diff)
	}
}

func unmasked(sum uint32) uint32 {
	rotated := sum - 0xa282ead8
	return rotated>>17 | rotated<<15
}

// summary reads a step and its scalars.
func summary(t *testing.T, event []byte) []point {
	t.Helper()
	if event[0] != 2<<3 {
		t.Fatalf("no step, but %#x", event[0])
	}
	step, n := binary.Uvarint(event[1:])
	event = event[1+n:]
	if event[0] != 5<<3|2 || int(event[1]) != len(event)-2 {
		t.Fatalf("no summary, but %#x", event)
	}
	var list []point
	for values := event[2:]; len(values) > 0; {
		if values[0] != 1<<3|2 || values[2] != 1<<3|2 {
			t.Fatalf("no tagged value, but %#x", values)
		}
		value := values[2 : 2+values[1]]
		tag, rest := value[2:2+value[1]], value[2+value[1]:]
		if rest[0] != 2<<3|5 || len(rest) != 5 {
			t.Fatalf("no number, but %#x", rest)
		}
		number := math.Float32frombits(binary.LittleEndian.Uint32(rest[1:]))
		list = append(list, point{int(step), string(tag), float64(number)})
		values = values[2+values[1]:]
	}
	return list
}

// reader is TensorBoard's own.
const reader = `
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1]).Reload()
points = [dict(step=e.step, tag=tag, value=e.value) for tag in events.Tags()["scalars"] for e in events.Scalars(tag)]
print(json.dumps(sorted(points, key=lambda p: (p["step"], p["tag"]))))
`

func TestTensorBoardReads(t *testing.T) {
	python := os.Getenv("DIFFSTITCH_PYTHON")
	if python == "" {
		python = "python3"
	}
	if exec.Command(python, "-c", "import tensorboard").Run() != nil {
		t.Skipf("%s has no tensorboard (pip install tensorboard; DIFFSTITCH_PYTHON names another Python)", python)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, FileName), eventFile(t), 0o644); err != nil {
		t.Fatal(err)
	}
	output, err := exec.Command(python, "-c", reader, dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	var got []point
	if err := json.Unmarshal(output, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(points, got); diff != "" {
		t.Errorf("points (-written +read):\n%s", diff)
	}
}
