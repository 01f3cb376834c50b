package table

import "errors"

var (
	// ErrOptions is returned for a catalog, a table or a warehouse that cannot be meant.
	ErrOptions = errors.New("the table's settings cannot be used")
	// ErrCatalog is returned where a catalog cannot be reached or read.
	ErrCatalog = errors.New("the catalog cannot be used")
	// ErrNoTable is returned where the catalog has no such table.
	ErrNoTable = errors.New("there is no such table")
	// ErrNotPublished is returned for a snapshot that is not as its manifest says.
	ErrNotPublished = errors.New("it is not a published snapshot")
	// ErrColumns is returned for a D* whose columns or widths are not the table's.
	ErrColumns = errors.New("the columns of D* are not those of the table")
	// ErrForeign is returned for a table that something else made or changed.
	ErrForeign = errors.New("the table is not as diffstitch makes it")
	// ErrSuperseded is returned where a snapshot would replace a later one.
	ErrSuperseded = errors.New("the table has a later snapshot")
	// ErrContended is returned where other publishers came first each time.
	ErrContended = errors.New("others kept committing to the table")
	// ErrUnknown is returned where the catalog's answer to a commit was lost. The commit
	// may be there or not; publishing again is safe.
	ErrUnknown = errors.New("it is not known whether the table was changed")

	// errMoved says that the table is no longer as it was read.
	errMoved = errors.New("another commit came first")
)
