package snapshot

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestCard(t *testing.T) {
	const golden = "testdata/card.md"
	got := new(strings.Builder)
	err := WriteCard(got, Manifest{
		ID: "20261123T120000Z-0a1b2c3d", Created: noon, Software: "diffstitch v0.1.0",
		Backend: "xla", Runner: "prism", Seed: 7, ObservationDim: 4, ActionDim: 2,
		Original:     Count{Episodes: 600, Transitions: 123456},
		Stitched:     Count{Episodes: 101, Transitions: 20200},
		Generated:    1111,
		Placeholders: 12,
		Inputs:       []Input{{Path: "maze.parquet", Bytes: 1234567, SHA256: strings.Repeat("ab", 32)}},
		Stages: []Stage{
			{Stage: "read", Unit: "episodes", In: 601, Out: 600, Dropped: map[string]int64{"not finite": 1}},
			{Stage: "qualify", Unit: "stitches", In: 500, Out: 101, Dropped: map[string]int64{"error ≥ δ": 300, "lost | return": 99}},
		},
		Parts: []Part{{File: "data/part-00000.parquet", Rows: 100000}, {File: "data/part-00001.parquet", Rows: 43656}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("card (-want +got):\n%s", diff)
	}
}

// TestCardOfInherited has a snapshot with files of one before.
func TestCardOfInherited(t *testing.T) {
	got := new(strings.Builder)
	if err := WriteCard(got, Manifest{Created: noon, Parts: []Part{{Snapshot: "20261123T120000Z-0a1b2c3d", File: "data/part-00000.parquet"}}}); err != nil {
		t.Fatal(err)
	}
	if text := got.String(); strings.Contains(text, "data/*.parquet") || strings.Contains(text, `"data"`) || !strings.Contains(text, `manifest["parts"]`) {
		t.Errorf("the card reads its own folder alone:\n%s", text)
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -123: "-123", -1234: "-1,234"} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) = %q, want %q", n, got, want)
		}
	}
}

// TestCardShowsTextAsItIs has inputs and reasons with all that Markdown and HTML take
// for their own.
func TestCardShowsTextAsItIs(t *testing.T) {
	got := new(strings.Builder)
	err := WriteCard(got, Manifest{
		Created: noon,
		Inputs:  []Input{{Path: "a`b.parquet"}, {Path: "<script>alert(1)</script>.parquet"}, {Path: "a|b`<i>\nc"}},
		Stages:  []Stage{{Stage: "read", Dropped: map[string]int64{"<b>*late*</b> `x`": 1}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| `` a`b.parquet `` |", "| `<script>alert(1)</script>.parquet` |", "| a\\|b\\`&lt;i&gt; c |", "&lt;b&gt;\\*late\\*&lt;/b&gt; \\`x\\`: 1.",
	} {
		if !strings.Contains(got.String(), want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
}
