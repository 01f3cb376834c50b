// Package tutorial runs docs/tutorial.md with the real program, shortened. It is
// for `make tutorial-test`, since it trains models.
package tutorial

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"diffstitch/modelops/learners"
	"diffstitch/pipelines/evaluate"
	"diffstitch/testing/fixture"

	"github.com/google/go-cmp/cmp"
)

// switchOn has the page run.
const switchOn = "DIFFSTITCH_TUTORIAL"

// shorter is all that is changed in the page's commands.
var shorter = []struct{ page, test string }{
	{"--preset tiny", "--preset tiny --steps 1500"},
	{"--stitches 512", "--stitches 64"},
	{"--steps 12000", "--steps 48"},
}

// steps are the page's blocks: what each runs, and prints among more.
var steps = []struct {
	runs   string
	prints []string // regular expressions
}{
	{"diffstitch generate pointmaze", []string{`^500 episodes, `}},
	{`pq.write_table`, nil},
	{"diffstitch inspect log.parquet", []string{`^episodes +500 `, `^rejected +0 episodes`}},
	{"diffstitch train", []string{
		`^training denoiser .*1500 of 1500 steps`, `^training inverse .*1500 of 1500 steps`,
		`^training reward .*1500 of 1500 steps`, `^training dynamics .*1500 of 1500 steps`,
	}},
	{"diffstitch augment", []string{`^pair +64 in +64 out`, `^δ: \S+ \(the 0\.99 quantile of `, `^verified: .* keep the rules of D\*`}},
	{"diffstitch evaluate --truth", []string{`^ +kept +δ +true `, ` real +\d+ .* 100\.0 % `, ` stitched +\d+ `, ` real, actions shuffled `}},
	{"diffstitch evaluate --data", []string{
		`^iql in pointmaze, 48 updates, original:augmented 1:0`, `^iql in pointmaze, 48 updates, original:augmented 1:4`,
		`mean and standard deviation over 3 seeds`,
	}},
	{"diffstitch evaluate --policy", []string{`, 5 episodes a seed`, `^rolling out: 15 of 15 episodes`, `over 3 seeds`}},
}

func TestPage(t *testing.T) {
	if os.Getenv(switchOn) == "" {
		t.Skipf("%s is not set: make tutorial-test trains models, for a minute or some", switchOn)
	}
	python := fixture.Python(t, "pyarrow")
	blocks := shortened(t, fixture.Blocks(t, "tutorial.md"))
	if len(blocks) != len(steps) {
		t.Fatalf("the page has %d blocks, and the test knows of %d", len(blocks), len(steps))
	}
	dir, printed := t.TempDir(), t.TempDir()
	follow(t, script(blocks, python, printed), dir, printed)
	for i, step := range steps {
		if !strings.Contains(blocks[i].Code, step.runs) {
			t.Errorf("block %d has no %q:\n%s", i, step.runs, blocks[i].Code)
		}
		out := read(t, output(printed, i))
		for _, want := range step.prints {
			if !regexp.MustCompile("(?m)" + want).Match(out) {
				t.Errorf("block %d printed no %q:\n%s", i, want, out)
			}
		}
	}
	checkReport(t, read(t, output(printed, 4)))
	checkScores(t, dir)
}

// shortened puts what is shorter in the place of the page's.
func shortened(t *testing.T, blocks []fixture.Block) []fixture.Block {
	found := map[string]bool{}
	for i := range blocks {
		for _, s := range shorter {
			if strings.Contains(blocks[i].Code, s.page) {
				found[s.page] = true
				blocks[i].Code = strings.ReplaceAll(blocks[i].Code, s.page, s.test)
			}
		}
	}
	for _, s := range shorter {
		if !found[s.page] {
			t.Errorf("the page has no %q to be replaced by %q", s.page, s.test)
		}
	}
	return blocks
}

// script is the blocks as one program of bash, since what one of them sets the
// next ones use. What each prints goes to a file of its own.
func script(blocks []fixture.Block, python, printed string) string {
	text := &strings.Builder{}
	for i, block := range blocks {
		code := block.Code
		if block.Language == "python" {
			code = fmt.Sprintf("%q - <<'END'\n%sEND\n", python, code)
		}
		fmt.Fprintf(text, "{\n%s} >%q 2>&1\n", code, output(printed, i))
	}
	return text.String()
}

// output is the file of what a block prints.
func output(printed string, block int) string {
	return filepath.Join(printed, fmt.Sprint(block))
}

// follow runs the script in a folder, with the program on the PATH.
func follow(t *testing.T, script, dir, printed string) {
	bin := t.TempDir()
	fixture.Program(t, bin)
	command := exec.CommandContext(t.Context(), "bash", "-euc", script)
	command.Dir = dir
	command.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
	said, err := command.CombinedOutput()
	if err == nil {
		return
	}
	began, _ := filepath.Glob(filepath.Join(printed, "*")) // the pattern is well formed
	if len(began) == 0 {
		t.Fatalf("%v: %s", err, said)
	}
	last := len(began) - 1
	t.Fatalf("block %d, %q: %v\n%s%s", last, steps[last].runs, err, said, read(t, output(printed, last)))
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// reportLine is where augment says what its report is.
var reportLine = regexp.MustCompile(`(?m)^report +(\S+)$`)

// checkReport looks for what was accepted, and why others were not.
func checkReport(t *testing.T, augmented []byte) {
	found := reportLine.FindSubmatch(augmented)
	if found == nil {
		t.Fatalf("no report is named:\n%s", augmented)
	}
	page := read(t, string(found[1]))
	for _, want := range []string{"accepted", "dynamics error", "64 stitches"} {
		if !bytes.Contains(page, []byte(want)) {
			t.Errorf("the report shows no %q", want)
		}
	}
}

// checkScores compares what the policies on D and on D* were made of.
func checkScores(t *testing.T, dir string) {
	d, dstar := evaluation(t, dir, "d"), evaluation(t, dir, "dstar")
	for name, e := range map[string]evaluate.Evaluation{"log.parquet": d, "augmented": dstar} {
		if len(e.Seeds) != 3 || filepath.Base(e.Data) != name {
			t.Errorf("%d seeds of policies on %s, want 3 on %s", len(e.Seeds), e.Data, name)
		}
	}
	dstar.Learner.Ratio = d.Learner.Ratio
	if diff := cmp.Diff(d.Learner, dstar.Learner); diff != "" || d.Learner.Learner != learners.IQL {
		t.Errorf("the learner on D* is another one than on D (-D +D*):\n%s", diff)
	}
}

func evaluation(t *testing.T, dir, name string) (e evaluate.Evaluation) {
	t.Helper()
	if err := json.Unmarshal(read(t, filepath.Join(dir, "scores", name, "evaluation.json")), &e); err != nil {
		t.Fatal(err)
	}
	return e
}
