package transitions

import (
	"context"
	"math"

	"diffstitch/io/layout"
	"diffstitch/io/parquet"
)

// assembler makes the episodes that begin in some row groups of the rows.
type assembler struct {
	reader *Reader
	rows   *layout.Rows
	block  *layout.Block
	at     int   // the next row of block
	stop   int64 // the row from which on episodes are somebody else's
	draft  *layout.Draft
	// foreign is whether the rows at hand may belong to the episode of the row
	// before the first, whose boundary columns draft then holds.
	foreign bool
	looked  bool // at the row before the first
}

func newAssembler(r *Reader, groups layout.Groups) *assembler {
	return &assembler{reader: r, rows: r.rows(groups.From), stop: r.table.Start(groups.To), draft: layout.NewDraft(&r.File)}
}

// Next is the next episode or reject; parquet.ErrDone after the last.
func (a *assembler) Next(ctx context.Context) (layout.Item, error) {
	if !a.looked {
		if err := a.lookBack(); err != nil {
			return layout.Item{}, err
		}
		a.looked = true
	}
	for {
		if !a.draft.Begun() && a.row() >= a.stop {
			return layout.Item{}, parquet.ErrDone
		}
		if a.block == nil || a.at == a.block.Rows {
			if err := ctx.Err(); err != nil {
				return layout.Item{}, err
			}
			b, err := a.rows.Next(math.MaxInt64)
			if err == parquet.ErrDone && a.draft.Begun() {
				switch err := a.follow(); err {
				case nil:
					continue
				case errManyFiles:
					a.draft.Reject(layout.TooLong, "%v", err)
				case errOtherColumns:
					a.draft.Reject(layout.LengthsDiffer, "%v", err)
				case parquet.ErrDone:
				default:
					return layout.Item{}, err
				}
				return a.draft.Finish(), nil
			}
			if err != nil {
				return layout.Item{}, err
			}
			a.block, a.at = b, 0
		}
		ends := a.draft.EndsBefore(a.block, a.at)
		if a.draft.Begun() && ends {
			return a.draft.Finish(), nil
		}
		to := a.at + 1
		for a.draft.Continues(a.block, to) {
			to++
		}
		a.foreign = a.foreign && !ends
		if a.foreign {
			a.draft.Mark(a.block, to-1)
		} else {
			a.draft.Add(a.block, a.at, to)
		}
		a.at = to
	}
}

// row is the next row.
func (a *assembler) row() int64 {
	if a.block == nil {
		return a.rows.Row()
	}
	return a.block.First + int64(a.at)
}

// follow goes on with the draft in the file in which it goes on; ErrDone where it ends.
func (a *assembler) follow() error {
	next, err := a.reader.following()
	if err != nil {
		return err
	}
	if next == nil {
		return parquet.ErrDone
	}
	err = a.rows.Close()
	a.reader, a.rows, a.block = next, next.rows(0), nil
	a.stop = 0 // all that begins there is somebody else's
	return err
}

// lookBack reads, of the row before the first, what tells whether the first
// begins an episode.
func (a *assembler) lookBack() (err error) {
	mark := func(b *layout.Block) { a.draft.Mark(b, 0) }
	if row := a.rows.Row() - 1; row >= 0 {
		a.foreign = true
		return a.reader.one(row, mark, "episode_id", "terminals", "dones", "timeouts")
	}
	// The row before is the last of another file, of the same id and flagged by nothing.
	if a.foreign, err = a.reader.beginsInside(); err != nil || !a.foreign {
		return err
	}
	return a.reader.one(0, mark, "episode_id")
}

func (a *assembler) Close() error { return a.rows.Close() }
