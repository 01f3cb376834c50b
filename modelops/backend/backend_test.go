package backend_test

import (
	"strings"
	"sync"
	"testing"

	"diffstitch/modelops/backend"
	"diffstitch/modelops/backend/backendtest"
)

func TestOpen(t *testing.T) {
	for _, name := range []string{backend.Go, backend.Auto} {
		engine, info, err := backend.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Name != name || info.Kind != backend.Go && info.Kind != backend.XLA || info.Description == "" {
			t.Errorf("%s is described as %+v", name, info)
		}
		if backend.IsGo(engine) != (info.Kind == backend.Go) {
			t.Errorf("%s is a %s backend, but IsGo says %v", name, info.Kind, backend.IsGo(engine))
		}
		again, _, err := backend.Open(name)
		if err != nil || again != engine {
			t.Errorf("%s opened a second time is another backend (%v)", name, err)
		}
	}
	if _, _, err := backend.Open("onnx"); err == nil {
		t.Error("no error for an unknown name")
	}
}

func TestList(t *testing.T) {
	infos := backend.List()
	if len(infos) != 2 || infos[0].Kind != backend.XLA || infos[1].Kind != backend.Go {
		t.Fatalf("listed %+v", infos)
	}
	for _, info := range infos {
		if info.Description == "" && info.Notice == "" {
			t.Errorf("neither a description nor a notice: %+v", info)
		}
	}
}

func TestSerialize(t *testing.T) {
	engine := backendtest.Open(t, backend.Go)
	var group sync.WaitGroup
	inside, most := 0, 0
	for range 8 {
		group.Go(func() {
			_ = backend.Serialize(engine, func() error {
				inside++ // the race detector watches
				most = max(most, inside)
				inside--
				return nil
			})
		})
	}
	group.Wait()
	if most != 1 {
		t.Errorf("%d executions at once", most)
	}
}

func TestInstallRefusesUnknownPlugins(t *testing.T) {
	if err := backend.Install("tpu"); err == nil {
		t.Error("no error for an unknown plugin")
	}
}

// TestSetPrecision: what a backend lacks is refused.
func TestSetPrecision(t *testing.T) {
	engine, _, err := backend.Open(backend.Go)
	if err != nil {
		t.Fatal(err)
	}
	wants := map[backend.Precision]string{
		"": "", backend.PrecisionAuto: "", backend.F32: "", backend.TF32: "needs CUDA", backend.BF16: "needs XLA", "f16": "one of auto, f32, tf32, bf16",
	}
	for p, want := range wants {
		_, err := backend.SetPrecision(engine, p)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", p, err, want)
		}
	}
}
