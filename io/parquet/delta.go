package parquet

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// deltas reads numbers that are stored as DELTA_BINARY_PACKED, of which there are at
// most so many, and checks every size before it is used.
type deltas struct {
	data []byte
	err  error
}

func (d *deltas) uvarint() uint64 {
	v, n := binary.Uvarint(d.data)
	if n <= 0 {
		d.fail("they end early")
		return 0
	}
	d.data = d.data[n:]
	return v
}

func (d *deltas) varint() int64 {
	v := d.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

func (d *deltas) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: deltas: "+format, append([]any{errPage}, args...)...)
	}
}

// largest is the largest of at most so many numbers, and sum what they come to.
func (d *deltas) largest(most int) (largest, sum int64, err error) {
	block, miniblocks, count := d.uvarint(), d.uvarint(), d.uvarint()
	value := d.varint()
	if block == 0 || block > maxDeltaBlock || miniblocks == 0 || miniblocks > block || block%miniblocks != 0 {
		d.fail("a block of %d in %d", block, miniblocks)
	}
	if count > uint64(most) {
		d.fail("%d values where there are %d", count, most)
	}
	if d.err != nil || count == 0 {
		return 0, 0, d.err
	}
	largest, sum = value, value
	left := int(count) - 1
	for left > 0 && d.err == nil {
		least := d.varint()
		widths := d.take(int(miniblocks))
		for _, width := range widths {
			if left == 0 || d.err != nil {
				break
			}
			n := min(left, int(block/miniblocks))
			packed := d.take((int(block/miniblocks)*int(width) + 7) / 8)
			for i := 0; i < n && d.err == nil; i++ {
				value += least + int64(unpack(packed, i*int(width), int(width)))
				largest = max(largest, value)
				sum += value
			}
			left -= n
		}
	}
	return largest, sum, d.err
}

func (d *deltas) take(n int) []byte {
	if n > len(d.data) {
		d.fail("they end early")
		return make([]byte, n)
	}
	taken := d.data[:n]
	d.data = d.data[n:]
	return taken
}

// unpack is the number of some bits, the lowest first; 0 beyond 64 bits.
func unpack(packed []byte, at, width int) (v uint64) {
	for i := 0; i < width && i < bits.UintSize; {
		b := packed[at/8] >> (at % 8)
		n := min(8-at%8, width-i)
		v |= uint64(b&(1<<n-1)) << i
		i, at = i+n, at+n
	}
	return v
}
