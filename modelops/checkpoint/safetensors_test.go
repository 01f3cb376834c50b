package checkpoint

import (
	"bytes"
	"encoding/binary"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func encode(t interface{ Fatal(...any) }, tensors []Tensor, metadata map[string]string) []byte {
	var buffer bytes.Buffer
	if err := WriteTensors(&buffer, tensors, metadata); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

// withHeader is a file with the given JSON header and number of data bytes.
func withHeader(header string, dataBytes int) []byte {
	file := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(file, header...), make([]byte, dataBytes)...)
}

func TestTensorsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want []Tensor
		for i := range rapid.IntRange(0, 4).Draw(t, "tensors") {
			shape := rapid.SliceOfN(rapid.IntRange(0, 4), 0, 3).Draw(t, "shape")
			size := 1
			for _, d := range shape {
				size *= d
			}
			data := rapid.SliceOfN(rapid.Float32(), size, size).Draw(t, "data")
			want = append(want, Tensor{Name: string(rune('a' + i)), Shape: shape, Data: data})
		}
		metadata := map[string]string{"k": rapid.String().Draw(t, "metadata")}
		file := encode(t, want, metadata)
		got, gotMetadata, err := ReadTensors(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) {
			t.Fatalf("%d tensors, want %d", len(got), len(want))
		}
		for i := range want {
			if diff := cmp.Diff(want[i], got[i], cmp.Comparer(sameBits)); diff != "" {
				t.Fatal(diff)
			}
		}
		if strings.ToValidUTF8(metadata["k"], "") == metadata["k"] && gotMetadata["k"] != metadata["k"] {
			t.Fatalf("metadata %q, want %q", gotMetadata, metadata)
		}
	})
}

func sameBits(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }

func TestWriteTensorsRefuses(t *testing.T) {
	tests := []struct {
		name    string
		tensors []Tensor
	}{
		{"a shape that does not fit", []Tensor{{Name: "a", Shape: []int{3}, Data: []float32{1}}}},
		{"a name twice", []Tensor{{Name: "a", Shape: []int{0}}, {Name: "a", Shape: []int{0}}}},
		{"the metadata's name", []Tensor{{Name: metadataKey, Shape: []int{0}}}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if err := WriteTensors(&bytes.Buffer{}, tc.tensors, nil); err == nil {
				t.Error("written")
			}
		})
	}
}

func TestReadTensorsRefuses(t *testing.T) {
	valid := encode(t, someWeights(), nil)
	tests := []struct {
		name string
		file []byte
		want string
	}{
		{"empty file", nil, "too short"},
		{"cut in the length", valid[:5], "too short"},
		{"cut in the header", valid[:20], "header of"},
		{"cut in the data", valid[:len(valid)-4], "offsets"},
		{"bytes left over", append(bytes.Clone(valid), 0, 0, 0, 0), "accounts for"},
		{"huge header", binary.LittleEndian.AppendUint64(nil, math.MaxUint64), "header of"},
		{"not JSON", withHeader("weights!", 0), "header"},
		{"another type", withHeader(`{"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}`, 8), `type "F64"`},
		{"no offsets", withHeader(`{"a":{"dtype":"F32","shape":[1]}}`, 4), "no data_offsets"},
		{"negative offset", withHeader(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}`, 4), "offsets"},
		{"reversed offsets", withHeader(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}`, 4), "offsets"},
		{"shape too large", withHeader(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}`, 4), "shape"},
		{"overflowing shape", withHeader(`{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}}`, 4), "shape"},
		{"overlap", withHeader(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4), "overlap"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			_, _, err := ReadTensors(bytes.NewReader(tc.file), int64(len(tc.file)))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
		})
	}
}

func FuzzReadTensors(f *testing.F) {
	f.Add(encode(f, someWeights(), map[string]string{"k": "v"}))
	f.Add(withHeader(`{"a":{"dtype":"F32","shape":[0,9],"data_offsets":[0,0]}}`, 0))
	f.Add(binary.LittleEndian.AppendUint64(nil, 1<<40))
	f.Fuzz(func(t *testing.T, file []byte) {
		tensors, _, err := ReadTensors(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			return
		}
		total := 0
		for _, tensor := range tensors {
			total += 4 * len(tensor.Data)
		}
		if total > len(file) {
			t.Errorf("%d bytes of tensors from a file of %d", total, len(file))
		}
	})
}
