package parquet

import "encoding/binary"

// hybrid decodes Parquet's mix of run-length and bit-packed runs, in which
// levels and dictionary indices are stored. It holds offsets rather than slices
// of its data: a run is a few levels, and storing a pointer costs more than that
// while the garbage collector marks.
type hybrid struct {
	data  []byte
	width int // bits of a number
	at    int // where the next run begins in data

	left   int    // numbers left in the run
	packed bool   // the run is bit-packed
	value  uint32 // of a run-length run
	begin  int    // of a bit-packed run, in data
	end    int
	next   int // number in the bit-packed run
}

func newHybrid(data []byte, width int) hybrid { return hybrid{data: data, width: width} }

// nextRun reads the header of the next run.
func (h *hybrid) nextRun() error {
	header, n := binary.Uvarint(h.data[h.at:])
	if n <= 0 || header>>1 == 0 || header>>1 > 1<<31 {
		return errPage
	}
	h.at += n
	count, rest := int(header>>1), len(h.data)-h.at
	h.packed = header&1 == 1
	if !h.packed {
		size := (h.width + 7) / 8
		if size > rest {
			return errPage
		}
		h.value, h.left = h.word(h.at, size), count
		h.at += size
		return nil
	}
	// The last run of a page may be cut short where its numbers end.
	size := min(count*h.width, rest)
	h.begin, h.end, h.next, h.left = h.at, h.at+size, 0, count*8
	if h.width > 0 {
		h.left = min(h.left, size*8/h.width)
	}
	if h.left == 0 {
		return errPage
	}
	h.at += size
	return nil
}

// word is the little-endian number of size bytes at an offset.
func (h *hybrid) word(at, size int) (word uint32) {
	for i, octet := range h.data[at : at+size] {
		word |= uint32(octet) << (8 * i)
	}
	return word
}

// number is number i of the bit-packed run.
func (h *hybrid) number(i int) uint32 {
	bit := i * h.width
	var word uint64
	if at := h.begin + bit/8; at+8 <= len(h.data) {
		word = binary.LittleEndian.Uint64(h.data[at:])
	} else {
		var tail [8]byte
		copy(tail[:], h.data[at:h.end])
		word = binary.LittleEndian.Uint64(tail[:])
	}
	return uint32(word >> (bit % 8) & (1<<h.width - 1))
}

// numbers fills out.
func (h *hybrid) numbers(out []uint32) error {
	for len(out) > 0 {
		if h.left == 0 {
			if err := h.nextRun(); err != nil {
				return err
			}
		}
		n := min(h.left, len(out))
		for i := range out[:n] {
			if h.packed {
				out[i] = h.number(h.next + i)
			} else {
				out[i] = h.value
			}
		}
		h.next += n
		h.left -= n
		out = out[n:]
	}
	return nil
}

// levels fills out, and counts the levels that are the highest there is.
func (h *hybrid) levels(out []int16, highest int16) (count int, err error) {
	for len(out) > 0 {
		if h.left == 0 {
			if err := h.nextRun(); err != nil {
				return 0, err
			}
		}
		n := min(h.left, len(out))
		if h.packed {
			count += h.unpack(out[:n], highest)
		} else {
			level := int16(h.value)
			repeat(out[:n], level)
			if level == highest {
				count += n
			}
		}
		h.next += n
		h.left -= n
		out = out[n:]
	}
	return count, nil
}

// unpack reads the next levels of the bit-packed run.
func (h *hybrid) unpack(out []int16, highest int16) (count int) {
	for i := 0; i < len(out); {
		at := h.next + i
		if h.width == 1 && at%8 == 0 && len(out)-i >= 8 {
			copy(out[i:i+8], octets[h.data[h.begin+at/8]][:])
			i += 8
			continue
		}
		out[i] = int16(h.number(at))
		i++
	}
	for _, level := range out {
		if level == highest {
			count++
		}
	}
	return count
}

// octets are the eight levels that each byte holds at one bit a level.
var octets = func() (table [256][8]int16) {
	for octet := range table {
		for bit := range table[octet] {
			table[octet][bit] = int16(octet >> bit & 1)
		}
	}
	return table
}()

// repeat fills out by doubling, which copies many at a time.
func repeat(out []int16, level int16) {
	if len(out) < 16 {
		for i := range out {
			out[i] = level
		}
		return
	}
	out[0] = level
	for filled := 1; filled < len(out); filled *= 2 {
		copy(out[filled:], out[:filled])
	}
}
