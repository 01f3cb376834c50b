package parquet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
)

// pageChunk reads float32 values straight from arrow's decompressed pages:
// arrow's column reader unpacks repetition levels one by one, which costs a list
// column more than its values do.
type pageChunk struct {
	pages         file.PageReader
	maxDefinition int16
	maxRepetition int16

	left                   int // levels left in the page
	definition, repetition hybrid
	plain                  []byte // of values not read yet, where the page is plain
	indexed                bool   // the page holds indices into dictionary
	indices                hybrid
	dictionary             []float32
	scratch                []uint32
}

var errPage = errors.New("a page contradicts its header")

// plainPages is whether the column chunk is encoded in the two ways, plain and
// by dictionary, that pageChunk knows.
func plainPages(g group, l Leaf) bool {
	meta, err := g.chunk(l)
	if err != nil {
		return false
	}
	for _, encoding := range meta.Encodings() {
		switch encoding {
		case parquet.Encodings.Plain, parquet.Encodings.RLE, parquet.Encodings.RLEDict, parquet.Encodings.PlainDict:
		default:
			return false
		}
	}
	return true
}

func openPages(g group, l Leaf) (chunk[float32], error) {
	pages, err := g.pages(l)
	if err != nil {
		return nil, err
	}
	return &pageChunk{pages: pages, maxDefinition: l.defined, maxRepetition: int16(l.Depth)}, nil
}

func (c *pageChunk) close() error { return c.pages.Close() }

func (c *pageChunk) seek(pageRow int64) error {
	if err := c.pages.SeekToPageWithRow(pageRow); err != nil {
		return err
	}
	c.left = 0
	_, err := c.begin(c.pages.Page())
	return err
}

func (c *pageChunk) read(values []float32, definition, repetition []int16) (levels, count int, err error) {
	for levels < len(values) {
		if c.left == 0 {
			if more, err := c.nextPage(); err != nil || !more {
				return levels, count, err
			}
		}
		n := min(c.left, len(values)-levels)
		defined, err := c.readLevels(definition[levels:levels+n], repetition[levels:levels+n])
		if err == nil {
			err = c.readValues(values[count : count+defined])
		}
		if err != nil {
			return levels, count, err
		}
		c.left -= n
		levels += n
		count += defined
	}
	return levels, count, nil
}

// nextPage goes to the next page that has levels.
func (c *pageChunk) nextPage() (bool, error) {
	for c.pages.Next() {
		data, err := c.begin(c.pages.Page())
		if err != nil {
			return false, err
		}
		if data && c.left > 0 {
			return true, nil
		}
	}
	return false, c.pages.Err()
}

// begin starts on a page, and says whether it holds data.
func (c *pageChunk) begin(page file.Page) (bool, error) {
	switch p := page.(type) {
	case *file.DictionaryPage:
		return false, c.setDictionary(p)
	case *file.DataPageV1, *file.DataPageV2:
		return true, c.beginData(page)
	default:
		return false, nil
	}
}

func (c *pageChunk) setDictionary(p *file.DictionaryPage) error {
	data := p.Data()
	count := int(p.NumValues())
	if count < 0 || count > len(data)/4 {
		return fmt.Errorf("%w: a dictionary of %d values in %d bytes", errPage, count, len(data))
	}
	c.dictionary = make([]float32, count)
	copy(arrow.Float32Traits.CastToBytes(c.dictionary), data)
	return nil
}

// beginData takes up the levels and the values of a data page.
func (c *pageChunk) beginData(p file.Page) error {
	repetition, definition, values, err := cutPage(p, c.maxRepetition, c.maxDefinition)
	if err != nil {
		return err
	}
	c.repetition = newHybrid(repetition, bits.Len16(uint16(c.maxRepetition)))
	c.definition = newHybrid(definition, bits.Len16(uint16(c.maxDefinition)))
	return c.beginValues(values, parquet.Encoding(p.Encoding()), int(p.NumValues()))
}

// cutPage finds the levels of a data page, up to the highest that there are, and the
// values behind them.
func cutPage(page file.Page, maxRepetition, maxDefinition int16) (repetition, definition, values []byte, err error) {
	data := page.Data()
	switch p := page.(type) {
	case *file.DataPageV2:
		r, d := int64(p.RepetitionLevelByteLen()), int64(p.DefinitionLevelByteLen())
		if r < 0 || d < 0 || r+d > int64(len(data)) {
			return nil, nil, nil, errPage
		}
		return data[:r], data[r : r+d], data[r+d:], nil
	case *file.DataPageV1:
		if repetition, data, err = cutLevels(data, maxRepetition, p.RepetitionLevelEncoding()); err != nil {
			return nil, nil, nil, err
		}
		definition, data, err = cutLevels(data, maxDefinition, p.DefinitionLevelEncoding())
		return repetition, definition, data, err
	}
	return nil, nil, nil, nil
}

// cutLevels takes the levels from the front, where there are any: they lie behind their
// length in four bytes.
func cutLevels(data []byte, highest int16, encoding parquet.Encoding) (levels, rest []byte, err error) {
	if highest == 0 {
		return nil, data, nil
	}
	if encoding != parquet.Encodings.RLE {
		return nil, nil, fmt.Errorf("levels encoded as %v are not read", encoding)
	}
	if len(data) < 4 {
		return nil, nil, errPage
	}
	length := int64(binary.LittleEndian.Uint32(data))
	if length > int64(len(data)-4) {
		return nil, nil, errPage
	}
	return data[4 : 4+length], data[4+length:], nil
}

func (c *pageChunk) beginValues(data []byte, encoding parquet.Encoding, levels int) error {
	c.left = levels
	switch encoding {
	case parquet.Encodings.Plain:
		c.plain, c.indexed = data, false
		return nil
	case parquet.Encodings.RLEDict, parquet.Encodings.PlainDict:
		return c.beginIndices(data)
	default:
		return fmt.Errorf("%w: values encoded as %v", errPage, encoding)
	}
}

func (c *pageChunk) beginIndices(data []byte) error {
	if c.dictionary == nil {
		page, err := c.pages.GetDictionaryPage() // passed over by a seek
		if err != nil {
			return err
		}
		if page == nil {
			return fmt.Errorf("%w: it has no dictionary", errPage)
		}
		if err := c.setDictionary(page); err != nil {
			return err
		}
	}
	c.indexed = true
	if len(data) == 0 { // all null
		c.indices = hybrid{}
		return nil
	}
	if data[0] > 32 {
		return errPage
	}
	c.indices = newHybrid(data[1:], int(data[0]))
	return nil
}

// readLevels fills both slices and counts the values that are there.
func (c *pageChunk) readLevels(definition, repetition []int16) (defined int, err error) {
	if c.maxRepetition == 0 {
		clear(repetition)
	} else if _, err := c.repetition.levels(repetition, c.maxRepetition); err != nil {
		return 0, err
	}
	if c.maxDefinition == 0 {
		clear(definition)
		return len(definition), nil
	}
	return c.definition.levels(definition, c.maxDefinition)
}

func (c *pageChunk) readValues(values []float32) error {
	if c.indexed {
		return c.lookUp(values)
	}
	size := 4 * len(values)
	if size > len(c.plain) {
		return errPage
	}
	copy(arrow.Float32Traits.CastToBytes(values), c.plain[:size])
	c.plain = c.plain[size:]
	return nil
}

func (c *pageChunk) lookUp(values []float32) error {
	if len(c.scratch) < len(values) {
		c.scratch = make([]uint32, len(values))
	}
	indices := c.scratch[:len(values)]
	if err := c.indices.numbers(indices); err != nil {
		return err
	}
	for i, index := range indices {
		if int(index) >= len(c.dictionary) {
			return fmt.Errorf("%w: index %d into a dictionary of %d", errPage, index, len(c.dictionary))
		}
		values[i] = c.dictionary[index]
	}
	return nil
}
