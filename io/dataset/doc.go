// Package dataset reads and writes offline-RL datasets.
//
// Layouts are recognised from the schema and the folder: one row a transition
// (the canonical layout, D4RL's names, the singular ones of newer tools, and
// LeRobot's), one row an episode with nested lists (Hugging Face's
// decision-transformer datasets), and one file an episode, Parquet or Arrow, with
// a row more than steps (Minari). [Writer] writes the canonical layout with the
// columns of D*, [NewExport] the folders of LeRobot and Minari.
//
// Reading streams by batches of rows. A list column of constant length is read
// as the flat column of values that it is: its levels are compared with the
// pattern a constant length gives, and only where they differ is the row with
// the odd length looked for. An episode that can't be used becomes a [Reject]
// and reading goes on; only what makes the rest of a file unreadable is an error.
//
// The observation after an episode's last step is unknown in many datasets. D*
// has no nulls in next_observations, so there the last row repeats its own
// observation, and readers take a last row whose next observation is its
// observation, bit for bit, as unknown. Loaders in the manner of D4RL never use
// that value: it is masked by terminals, and dropped on timeouts.
package dataset
