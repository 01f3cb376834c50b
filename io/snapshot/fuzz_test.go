package snapshot

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzCurrent has CURRENT be anything: what is read is a snapshot of the folder or none.
func FuzzCurrent(f *testing.F) {
	const id = "20261123T120000Z-0a1b2c3d"
	for _, text := range []string{"", id, id + "\n", " " + id + "\r\n", "../" + id, id + "/../..", id + "\x00", strings.Repeat("9", 99), "\xff\xfe" + id} {
		f.Add([]byte(text))
	}
	out := f.TempDir()
	dir := filepath.Join(out, snapshotsName, id)
	fuzzed(f, os.MkdirAll(dir, 0o755))
	fuzzed(f, os.WriteFile(filepath.Join(dir, manifestName), []byte(`{"version": 1, "id": "`+id+`"}`), 0o644))
	f.Fuzz(func(t *testing.T, text []byte) {
		fuzzed(t, os.WriteFile(filepath.Join(out, currentName), text, 0o644))
		s, err := Current(out)
		if (err == nil) != (strings.TrimSpace(string(text)) == id) || err == nil && s.Dir != dir {
			t.Errorf("CURRENT of %q gave %q: %v", text, s.Dir, err)
		}
	})
}

// FuzzManifest has a manifest be anything: it names files of the published folder's
// snapshots, or is refused.
func FuzzManifest(f *testing.F) {
	const id, earlier = "20261123T120000Z-0a1b2c3d", "20261122T120000Z-0a1b2c3d"
	begin := `{"version": 1, "id": "` + id + `", "parts": [`
	for _, text := range []string{
		"", "{}", "null", begin + `]}`,
		begin + `{"file": "data/part-00000.parquet", "rows": 3, "bytes": 4, "sha256": "bc51"}]}`,
		begin + `{"snapshot": "` + earlier + `", "file": "data/part-00000.parquet"}, {"file": "data/part-00000.parquet"}]}`,
		begin + `{"file": "data/../../../secret"}]}`, begin + `{"file": "/etc/passwd"}]}`, begin + `{"file": "data/.."}]}`,
		begin + `{"snapshot": "..", "file": "data/a"}]}`, begin + `{"file": "data/a", "rows": -1}]}`, begin + `{"file": "data\\a"}]}`,
		begin + `], "stages": [{"dropped": {"x": -5}}], "created": "2026-11-23T12:00:00Z", "configuration": {"delta": [1, null]}}`,
	} {
		f.Add([]byte(text))
	}
	out := f.TempDir()
	dir := filepath.Join(out, snapshotsName, id)
	fuzzed(f, os.MkdirAll(filepath.Join(dir, dataName), 0o755))
	fuzzed(f, os.WriteFile(filepath.Join(out, currentName), []byte(id), 0o644))
	f.Fuzz(func(t *testing.T, text []byte) {
		fuzzed(t, os.WriteFile(filepath.Join(dir, manifestName), text, 0o644))
		s, err := Current(out)
		if err != nil {
			return
		}
		for _, file := range s.Files() {
			name, inside := strings.CutPrefix(file, filepath.Join(out, snapshotsName)+string(filepath.Separator))
			names := strings.Split(filepath.ToSlash(name), "/")
			if !inside || len(names) != 3 || !idPattern.MatchString(names[0]) || names[1] != dataName || names[2] == ".." {
				t.Errorf("%q is named by %s", file, text)
			}
		}
		if err := s.Check(true); err == nil && len(s.Manifest.Parts) > 0 {
			t.Errorf("files that are not there are whole: %s", text)
		}
		fuzzed(t, WriteCard(io.Discard, s.Manifest))
	})
}

func fuzzed(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
