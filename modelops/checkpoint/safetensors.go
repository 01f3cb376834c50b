package checkpoint

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// Tensor is a named float32 array.
type Tensor struct {
	Name  string
	Shape []int
	Data  []float32 // row-major, the product of Shape long
}

// maxHeader bounds the JSON header, as the format's reference reader does.
const maxHeader = 100 << 20

// metadataKey is the header's only entry that is not a tensor.
const metadataKey = "__metadata__"

// headerEntry is what the safetensors header says of a tensor.
type headerEntry struct {
	DType   string    `json:"dtype"`
	Shape   []int64   `json:"shape"`
	Offsets *[2]int64 `json:"data_offsets"`
}

// WriteTensors writes the safetensors format: the header's length (8 bytes,
// little-endian), a JSON header, and the data of the tensors, sorted by name.
// Equal tensors and metadata give equal bytes.
func WriteTensors(w io.Writer, tensors []Tensor, metadata map[string]string) error {
	sorted := slices.SortedFunc(slices.Values(tensors), func(a, b Tensor) int { return strings.Compare(a.Name, b.Name) })
	header, err := encodeHeader(sorted, metadata)
	if err != nil {
		return fmt.Errorf("checkpoint: encoding a safetensors header: %w", err)
	}
	buffer := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	if _, err := w.Write(append(buffer, header...)); err != nil {
		return fmt.Errorf("checkpoint: writing a safetensors header: %w", err)
	}
	for _, t := range sorted {
		buffer = slices.Grow(buffer[:0], 4*len(t.Data))
		for _, v := range t.Data {
			buffer = binary.LittleEndian.AppendUint32(buffer, math.Float32bits(v))
		}
		if _, err := w.Write(buffer); err != nil {
			return fmt.Errorf("checkpoint: writing tensor %q: %w", t.Name, err)
		}
	}
	return nil
}

// encodeHeader is the JSON header of tensors that are laid out in the given
// order, padded with spaces so that the data starts at a multiple of 8.
func encodeHeader(tensors []Tensor, metadata map[string]string) ([]byte, error) {
	entries := make(map[string]any, len(tensors)+1)
	if len(metadata) > 0 {
		entries[metadataKey] = metadata
	}
	var end int64
	for _, t := range tensors {
		shape := make([]int64, len(t.Shape))
		size := int64(1)
		for i, d := range t.Shape {
			shape[i] = int64(d)
			size *= int64(d)
		}
		if size != int64(len(t.Data)) {
			return nil, fmt.Errorf("tensor %q of shape %v has %d values", t.Name, t.Shape, len(t.Data))
		}
		if _, twice := entries[t.Name]; twice || t.Name == metadataKey {
			return nil, fmt.Errorf("tensor name %q is taken", t.Name)
		}
		begin := end
		end += 4 * size
		entries[t.Name] = headerEntry{DType: "F32", Shape: shape, Offsets: &[2]int64{begin, end}}
	}
	header, err := json.Marshal(entries)
	if err != nil {
		return nil, err
	}
	for len(header)%8 != 0 {
		header = append(header, ' ')
	}
	return header, nil
}

// ReadTensors reads a safetensors file of the given size whose tensors are all
// float32. Every length and offset is held against the size before anything is
// allocated for it. The tensors come back sorted by name.
func ReadTensors(r io.ReaderAt, size int64) ([]Tensor, map[string]string, error) {
	header, dataStart, err := readHeader(r, size)
	if err != nil {
		return nil, nil, err
	}
	var entries map[string]json.RawMessage
	if err := json.Unmarshal(header, &entries); err != nil {
		return nil, nil, fmt.Errorf("checkpoint: safetensors header: %w", err)
	}
	var metadata map[string]string
	tensors := make([]Tensor, 0, len(entries))
	var covered int64
	for name, raw := range entries {
		if name == metadataKey {
			if err := json.Unmarshal(raw, &metadata); err != nil {
				return nil, nil, fmt.Errorf("checkpoint: safetensors metadata: %w", err)
			}
			continue
		}
		t, err := readTensor(r, name, raw, dataStart, size)
		if err != nil {
			return nil, nil, fmt.Errorf("checkpoint: tensor %q: %w", name, err)
		}
		// Tensors that share bytes could make a small file fill the memory.
		if covered += 4 * int64(len(t.Data)); covered > size-dataStart {
			return nil, nil, errors.New("checkpoint: safetensors tensors overlap")
		}
		tensors = append(tensors, t)
	}
	if covered != size-dataStart {
		return nil, nil, fmt.Errorf("checkpoint: safetensors file holds %d bytes of data, its header accounts for %d", size-dataStart, covered)
	}
	slices.SortFunc(tensors, func(a, b Tensor) int { return strings.Compare(a.Name, b.Name) })
	return tensors, metadata, nil
}

// readHeader returns the JSON header and where the data starts.
func readHeader(r io.ReaderAt, size int64) ([]byte, int64, error) {
	if size < 8 {
		return nil, 0, fmt.Errorf("checkpoint: a safetensors file of %d bytes is too short for its header length", size)
	}
	var prefix [8]byte
	if _, err := r.ReadAt(prefix[:], 0); err != nil {
		return nil, 0, fmt.Errorf("checkpoint: reading a safetensors header length: %w", err)
	}
	length := binary.LittleEndian.Uint64(prefix[:])
	if length > uint64(size-8) || length > maxHeader {
		return nil, 0, fmt.Errorf("checkpoint: safetensors header of %d bytes in a file of %d", length, size)
	}
	header := make([]byte, length)
	if _, err := r.ReadAt(header, 8); err != nil {
		return nil, 0, fmt.Errorf("checkpoint: reading a safetensors header: %w", err)
	}
	return header, 8 + int64(length), nil
}

// readTensor reads the tensor of one header entry; start is where the file's data
// begins and size where it ends.
func readTensor(r io.ReaderAt, name string, raw json.RawMessage, start, size int64) (Tensor, error) {
	var entry headerEntry
	if err := json.Unmarshal(raw, &entry); err != nil {
		return Tensor{}, err
	}
	if entry.DType != "F32" {
		return Tensor{}, fmt.Errorf("type %q, want F32", entry.DType)
	}
	if entry.Offsets == nil {
		return Tensor{}, errors.New("no data_offsets")
	}
	begin, end := entry.Offsets[0], entry.Offsets[1]
	if begin < 0 || end < begin || end > size-start {
		return Tensor{}, fmt.Errorf("offsets [%d, %d) in %d bytes of data", begin, end, size-start)
	}
	shape, values, err := checkedShape(entry.Shape, (end-begin)/4)
	if err != nil || (end-begin)%4 != 0 {
		return Tensor{}, fmt.Errorf("shape %v in %d bytes", entry.Shape, end-begin)
	}
	data := make([]byte, end-begin)
	if _, err := io.ReadFull(io.NewSectionReader(r, start+begin, end-begin), data); err != nil {
		return Tensor{}, err
	}
	t := Tensor{Name: name, Shape: shape, Data: make([]float32, values)}
	for i := range t.Data {
		t.Data[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return t, nil
}

// checkedShape converts a shape whose product must be exactly want.
func checkedShape(dims []int64, want int64) ([]int, int64, error) {
	shape := make([]int, len(dims))
	product := int64(1)
	empty := slices.Contains(dims, 0)
	for i, d := range dims {
		if d < 0 || d > math.MaxInt32 || (!empty && product > want/d) {
			return nil, 0, errors.New("out of range")
		}
		product *= d
		shape[i] = int(d)
	}
	if product != want {
		return nil, 0, errors.New("wrong size")
	}
	return shape, product, nil
}
