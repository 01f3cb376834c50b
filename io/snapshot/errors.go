package snapshot

import "errors"

var (
	// ErrNoSnapshot is returned where nothing has been published yet.
	ErrNoSnapshot = errors.New("no snapshot is published there")
	// ErrBroken is returned for a snapshot whose files are not those of its manifest, or whose
	// manifest cannot be.
	ErrBroken = errors.New("the snapshot is not as its manifest says, or the manifest is none")
	// ErrLocked is returned while another run writes into the same folder.
	ErrLocked = errors.New("the folder is in use by another run")
	// ErrOvertaken is returned to a run that another, a rollback or a prune was faster than.
	ErrOvertaken = errors.New("another run published meanwhile, or CURRENT was moved; nothing of this one was kept: run again")
	// ErrForeign is returned for an output folder that holds something else.
	ErrForeign = errors.New("output folder holds files that are not a published dataset; give an empty or a new folder")
)
