package storage

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"diffstitch/testing/stores"

	"github.com/google/go-cmp/cmp"
)

// onEach runs a test on a folder of each kind of storage. The network is nil on this machine.
func onEach(t *testing.T, test func(t *testing.T, root string, network *stores.Network)) {
	t.Run("local", func(t *testing.T) { test(t, t.TempDir(), nil) })
	for _, kind := range []string{stores.GCS, stores.S3} {
		t.Run(kind, func(t *testing.T) {
			s := stores.Start(t, kind)
			test(t, s.Root+"/folder", s.Network)
		})
	}
}

// noise is bytes that don't repeat.
func noise(n int) []byte {
	b := make([]byte, n)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(b) // it never fails
	return b
}

func put(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := MkdirAll(Dir(path)); err != nil {
		t.Fatal(err)
	}
	if err := WriteWhole(path, func(w io.Writer) error { _, err := w.Write(data); return err }); err != nil {
		t.Fatal(err)
	}
}

// TestRangedReads reads a file larger than any buffer, here and there and through.
func TestRangedReads(t *testing.T) {
	onEach(t, func(t *testing.T, root string, network *stores.Network) {
		want := noise(21<<20 + 7)
		path := Join(root, "big")
		put(t, path, want)
		before := int64(0)
		if network != nil {
			before = network.Requests()
		}
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if f.Size() != int64(len(want)) {
			t.Fatalf("%d bytes, want %d", f.Size(), len(want))
		}
		for _, r := range [][2]int{{0, 8}, {len(want) - 8, 8}, {5 << 20, 3 << 20}, {5<<20 - 100, 200}, {100, 1}, {300 << 10, 10 << 20}} {
			got := make([]byte, r[1])
			if n, err := f.ReadAt(got, int64(r[0])); n != r[1] || err != nil {
				t.Errorf("%d bytes at %d: %d: %v", r[1], r[0], n, err)
			} else if !bytes.Equal(got, want[r[0]:r[0]+r[1]]) {
				t.Errorf("%d bytes at %d are others", r[1], r[0])
			}
		}
		if n, err := f.ReadAt(make([]byte, 10), f.Size()-4); n != 4 || err != io.EOF {
			t.Errorf("at the end: %d bytes, %v", n, err)
		}
		if got, err := io.ReadAll(f.Reader()); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes are others: %v", len(got), err)
		}
		if network == nil {
			return
		}
		if n := network.Requests() - before; n > 20 {
			t.Errorf("%d requests for a file of 21 MiB", n)
		}
	})
}

// TestConcurrentReads shares windows.
func TestConcurrentReads(t *testing.T) {
	onEach(t, func(t *testing.T, root string, network *stores.Network) {
		want := noise(3 << 20)
		put(t, Join(root, "file"), want)
		f, err := Open(Join(root, "file"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				if got, err := io.ReadAll(f.Reader()); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%d bytes are others: %v", len(got), err)
				}
			})
		}
		group.Wait()
	})
}

// TestReplacedWhileOpen reads one version or none.
func TestReplacedWhileOpen(t *testing.T) {
	onEach(t, func(t *testing.T, root string, network *stores.Network) {
		path := Join(root, "file")
		old := noise(2 << 20)
		put(t, path, old)
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		put(t, path, make([]byte, 2<<20))
		got, err := io.ReadAll(f.Reader())
		if err == nil && !bytes.Equal(got, old) {
			t.Error("another version was read, or a mixture")
		}
		if network != nil && err == nil {
			t.Error("a version that is no more was read")
		}
	})
}

// TestReplace has one of many win, for each version of a file.
func TestReplace(t *testing.T) {
	onEach(t, func(t *testing.T, root string, network *stores.Network) {
		path := Join(root, "CURRENT")
		if err := MkdirAll(root); err != nil {
			t.Fatal(err)
		}
		if _, version, err := Load(path, 100); !errors.Is(err, fs.ErrNotExist) || version != Absent {
			t.Errorf("version %q of nothing: %v", version, err)
		}
		if _, err := Replace(path, []byte("x"), "12345"); !errors.Is(err, ErrChanged) {
			t.Errorf("what is not there was replaced: %v", err)
		}
		expected := Absent
		for generation := range 5 {
			var group sync.WaitGroup
			won := make(chan string, 20)
			for i := range 20 {
				group.Go(func() {
					data := fmt.Sprintf("generation %d by %d", generation, i)
					switch _, err := Replace(path, []byte(data), expected); {
					case err == nil:
						won <- data
					case !errors.Is(err, ErrChanged):
						t.Error(err)
					}
				})
			}
			group.Wait()
			close(won)
			winner := <-won
			if another, more := <-won; more || winner == "" {
				t.Fatalf("%q and %q won", winner, another)
			}
			data, version, err := Load(path, 100)
			if err != nil || string(data) != winner {
				t.Fatalf("%q is there, of %q: %v", data, winner, err)
			}
			if _, err := Replace(path, []byte("late"), expected); !errors.Is(err, ErrChanged) {
				t.Errorf("an old version was replaced: %v", err)
			}
			expected = version
		}
	})
}

// TestLists has names that need care in URLs and in lists.
func TestLists(t *testing.T) {
	onEach(t, func(t *testing.T, root string, network *stores.Network) {
		odd := []string{"a b", "a%20b", "a+b", "a?b#c", "ü-日本", "a&b=c", "_x", ".hidden", "part-00000.parquet", "[x]", "a'b\"c", `back\slash`}
		for _, name := range odd {
			put(t, Join(root, "odd", name), []byte(name))
			put(t, Join(root, "deep", name, "file"), []byte(name))
		}
		put(t, Join(root, "odder"), nil) // which begins like a folder's name
		for _, folder := range []string{"odd", "deep"} {
			entries, err := ReadDir(Join(root, folder))
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]bool{}
			for _, e := range entries {
				got[e.Name()] = e.IsDir()
			}
			want := map[string]bool{}
			for _, name := range odd {
				want[name] = folder == "deep"
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s (-want +got):\n%s", folder, d)
			}
		}
		for _, name := range odd {
			if data, err := ReadFile(Join(root, "odd", name), 100); err != nil || string(data) != name {
				t.Errorf("%q holds %q: %v", name, data, err)
			}
		}
		count := 0
		if err := Walk(root, func(path string, info fs.FileInfo) error {
			count++
			if Base(path) != info.Name() {
				t.Errorf("%q is called %q", path, info.Name())
			}
			return nil
		}); err != nil || count != 2*len(odd)+1 {
			t.Errorf("%d files, want %d: %v", count, 2*len(odd)+1, err)
		}
		if _, err := ReadDir(Join(root, "absent")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a folder that is not there: %v", err)
		}
		matches, err := Glob(Join(root, "d*", "a?b"))
		want := []string{Join(root, "deep", "a b"), Join(root, "deep", "a+b")}
		if d := cmp.Diff(want, matches); d != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, d)
		}
	})
}

// TestManyFiles are more than a page of a list.
func TestManyFiles(t *testing.T) {
	onEach(t, func(t *testing.T, root string, network *stores.Network) {
		const files = 1100
		var group sync.WaitGroup
		for worker := range 10 {
			group.Go(func() {
				for i := worker; i < files; i += 10 {
					put(t, Join(root, fmt.Sprintf("%05d", i)), []byte{1})
				}
			})
		}
		group.Wait()
		entries, err := ReadDir(root)
		if len(entries) != files || err != nil {
			t.Errorf("%d files of %d are listed: %v", len(entries), files, err)
		}
		if err := RemoveAll(root); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadDir(root); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("what was removed is listed: %v", err)
		}
	})
}

func TestStatAndRemove(t *testing.T) {
	onEach(t, func(t *testing.T, root string, network *stores.Network) {
		path := Join(root, "folder", "file")
		put(t, path, []byte("hello"))
		if i, err := Stat(path); err != nil || i.Size() != 5 || i.IsDir() || !i.Mode().IsRegular() || time.Since(i.ModTime()).Abs() > time.Hour {
			t.Errorf("file: %v, %v", i, err)
		}
		if i, err := Stat(Join(root, "folder")); err != nil || !i.IsDir() || i.Name() != "folder" {
			t.Errorf("folder: %v, %v", i, err)
		}
		for _, absent := range []string{"fold", "folder/fil", "absent"} {
			if _, err := Stat(Join(root, absent)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %v", absent, err)
			}
			if _, err := Open(Join(root, absent)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("opening %s: %v", absent, err)
			}
		}
		put(t, path, nil)
		if data, err := ReadFile(path, 10); err != nil || len(data) != 0 {
			t.Errorf("an empty file holds %q: %v", data, err)
		}
		if err := Remove(path); err != nil {
			t.Error(err)
		}
		if _, err := Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("what was removed is there: %v", err)
		}
		if err := RemoveAll(Join(root, "folder")); err != nil {
			t.Errorf("removing nothing: %v", err)
		}
	})
}

// TestWritesThatFail leave nothing, and what was there before.
func TestWritesThatFail(t *testing.T) {
	onEach(t, func(t *testing.T, root string, network *stores.Network) {
		full := errors.New("no space left on device")
		big := noise(20 << 20)
		half := func(w io.Writer) error { _, err := w.Write(big); return errors.Join(err, full) }
		path := Join(root, "file")
		if err := MkdirAll(root); err != nil {
			t.Fatal(err)
		}
		if err := WriteWhole(path, half); !errors.Is(err, full) {
			t.Errorf("got %v", err)
		}
		if _, err := Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("half of it is there: %v", err)
		}
		put(t, path, []byte("before"))
		if err := WriteWhole(path, half); !errors.Is(err, full) {
			t.Errorf("got %v", err)
		}
		if data, err := ReadFile(path, 1<<30); err != nil || string(data) != "before" {
			t.Errorf("%d bytes are there: %v", len(data), err)
		}
		if err := WriteFolder(Join(root, "folder"), func(dir string) error {
			return errors.Join(CreateWhole(Join(dir, "file"), func(w io.Writer) error { _, err := w.Write(big); return err }), full)
		}); !errors.Is(err, full) {
			t.Errorf("got %v", err)
		}
		if _, err := Stat(Join(root, "folder")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("half of a folder is there: %v", err)
		}
	})
}

// TestFolders are there whole, once.
func TestFolders(t *testing.T) {
	onEach(t, func(t *testing.T, root string, network *stores.Network) {
		big := noise(9 << 20)
		fill := func(dir string) error {
			f, err := Create(Join(dir, "deep", "file"))
			if err != nil {
				return err
			}
			_, err = f.Write(big)
			if err := errors.Join(err, f.Close()); err != nil || f.Bytes() != int64(len(big)) {
				return fmt.Errorf("%d bytes: %w", f.Bytes(), err)
			}
			return nil
		}
		if err := WriteFolder(Join(root, "folder"), fill); err != nil {
			t.Fatal(err)
		}
		if data, err := ReadFile(Join(root, "folder", "deep", "file"), 1<<30); err != nil || !bytes.Equal(data, big) {
			t.Errorf("%d bytes: %v", len(data), err)
		}
		if entries, err := ReadDir(Join(root, "folder")); err != nil || len(entries) != 1 {
			t.Errorf("there are %v: %v", entries, err)
		}
		if err := WriteFolder(Join(root, "folder"), fill); !errors.Is(err, fs.ErrExist) {
			t.Errorf("a folder was filled twice: %v", err)
		}
	})
}

// TestFaults has a share of all requests fail in each way that they can.
func TestFaults(t *testing.T) {
	onEach(t, func(t *testing.T, root string, network *stores.Network) {
		if network == nil {
			t.Skip("no network lies between")
		}
		network.Suffer(stores.Faults{Seed: 1, Unavailable: 0.05, TooMany: 0.05, Reset: 0.05, Lost: 0.05, Truncated: 0.05, Latency: time.Millisecond})
		big := noise(20 << 20)
		put(t, Join(root, "big"), big)
		for range 3 {
			if data, err := ReadFile(Join(root, "big"), 1<<30); err != nil || !bytes.Equal(data, big) {
				t.Errorf("%d bytes: %v", len(data), err)
			}
		}
		network.Suffer(stores.Faults{Seed: 1, Lost: 0.3})
		for range 4 { // some of which lose the answer that an upload is over
			put(t, Join(root, "big"), big[:9<<20])
		}
		small := noise(200 << 10)
		put(t, Join(root, "small"), small)
		network.Suffer(stores.Faults{Seed: 1, Truncated: 0.4})
		for range 40 {
			if data, err := ReadFile(Join(root, "small"), 1<<30); err != nil || !bytes.Equal(data, small) {
				t.Errorf("%d bytes of a small file: %v", len(data), err)
			}
		}
		network.Suffer(stores.Faults{Seed: 2, Unavailable: 0.05, TooMany: 0.05, Reset: 0.05, Lost: 0.05, Truncated: 0.05})
		version := Absent
		for i := range 20 {
			var err error
			if version, err = Replace(Join(root, "CURRENT"), fmt.Append(nil, i), version); err != nil {
				t.Fatalf("replacing for the %d-th time: %v", i, err)
			}
			put(t, Join(root, "many", fmt.Sprint(i)), fmt.Append(nil, i))
		}
		entries, err := ReadDir(Join(root, "many"))
		if err != nil || len(entries) != 20 {
			t.Errorf("%d entries: %v", len(entries), err)
		}
		if err := RemoveAll(root); err != nil {
			t.Fatal(err)
		}
		network.Suffer(stores.Faults{})
		if _, err := Stat(root); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("what was removed is there: %v", err)
		}
		t.Logf("%d of %d requests had a fault", network.Suffered(), network.Requests())
	})
}
