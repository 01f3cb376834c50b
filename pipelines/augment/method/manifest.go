package method

import (
	"diffstitch/io/snapshot"
	"diffstitch/io/trajectory"
)

// ModelHashes lists the models for a manifest.
func (w *Work) ModelHashes() (list []snapshot.Model) {
	for _, kind := range w.Models.Kinds {
		list = append(list, snapshot.Model{Kind: string(kind), SHA256: w.Models.Models[kind].Hash})
	}
	return list
}

// AddParts adds data files to those of a manifest, and what they hold to its counts. It gives
// the originals and the stitches among that.
func AddParts(m *snapshot.Manifest, parts []trajectory.PartInfo) (original, stitched snapshot.Count) {
	for _, p := range parts {
		m.Parts = append(m.Parts, snapshot.Part{File: "data/" + p.File, Rows: p.Rows, Bytes: p.Bytes, SHA256: p.SHA256})
		original.Add(snapshot.Count{Episodes: p.Episodes - p.Stitched, Transitions: p.Rows - p.StitchedRows})
		stitched.Add(snapshot.Count{Episodes: p.Stitched, Transitions: p.StitchedRows})
		m.Repeated.Add(snapshot.Count{Episodes: p.Repeated, Transitions: p.RepeatedRows})
		m.Generated += p.BridgeRows
		m.Placeholders += p.UnknownFinals
	}
	m.Original.Add(original)
	m.Stitched.Add(stitched)
	return original, stitched
}
