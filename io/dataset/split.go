package dataset

import "fmt"

// Groups are the row groups [From, To) of a file.
type Groups struct {
	From, To int
}

// all are the row groups of the whole file.
func (f *File) all() Groups { return Groups{To: len(f.starts) - 1} }

// Splits cuts the file into runs of row groups of about so many decoded bytes,
// one row group at least, for workers to share.
func (f *File) Splits(bytes int64) []Groups {
	var splits []Groups
	size := bytes
	for g := range f.all().To {
		if size >= bytes {
			splits = append(splits, Groups{From: g, To: g})
			size = 0
		}
		splits[len(splits)-1].To = g + 1
		size += f.groupBytes(g)
	}
	return splits
}

// FirstRow is the first row of a row group.
func (f *File) FirstRow(group int) int64 { return f.starts[group] }

// Seen holds the ids of a file's usable episodes, and the row each began at. An
// id that comes back is of an episode whose rows are not contiguous.
type Seen map[int64]int64

// Add gives the reason to reject the episode, or nil where its id is new.
func (s Seen) Add(file string, row, id int64) *Reject {
	if began, again := s[id]; again {
		return &Reject{File: file, Row: row, EpisodeID: id, Reason: IDReturns, Detail: fmt.Sprintf("it began at row %d already", began)}
	}
	s[id] = row
	return nil
}
