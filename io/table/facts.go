package table

import (
	"strconv"
	"strings"
	"time"

	"diffstitch/io/snapshot"

	"github.com/apache/iceberg-go"
)

// What a snapshot of a table says of the D* in it, by properties of these names.
const (
	prefix      = "diffstitch."
	idKey       = prefix + "snapshot-id"
	modeKey     = prefix + "mode"
	observation = prefix + "observation-dim" // of the table, too
	action      = prefix + "action-dim"      // of the table, too
)

// facts are the properties of a publication: what the manifest says that a reader may
// choose by. There are no inputs among them, whose paths may be private.
func facts(m snapshot.Manifest, mode Mode) iceberg.Properties {
	p := iceberg.Properties{
		idKey:                            m.ID,
		modeKey:                          string(mode),
		observation:                      strconv.Itoa(m.ObservationDim),
		action:                           strconv.Itoa(m.ActionDim),
		prefix + "created":               m.Created.UTC().Format(time.RFC3339),
		prefix + "method":                m.Method,
		prefix + "seed":                  strconv.FormatUint(m.Seed, 10),
		prefix + "software":              m.Software,
		prefix + "backend":               m.Backend,
		prefix + "runner":                m.Runner,
		prefix + "configuration-sha256":  m.ConfigurationHash(),
		prefix + "original-episodes":     number(m.Original.Episodes),
		prefix + "original-transitions":  number(m.Original.Transitions),
		prefix + "stitched-episodes":     number(m.Stitched.Episodes),
		prefix + "stitched-transitions":  number(m.Stitched.Transitions),
		prefix + "repeated-episodes":     number(m.Repeated.Episodes),
		prefix + "generated-transitions": number(m.Generated),
		prefix + "placeholder-rows":      number(m.Placeholders),
	}
	for kind, hashes := range modelHashes(m.Models) {
		p[prefix+"model."+kind+"-sha256"] = strings.Join(hashes, ",")
	}
	return p
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

func modelHashes(models []snapshot.Model) map[string][]string {
	hashes := map[string][]string{}
	for _, m := range models {
		hashes[m.Kind] = append(hashes[m.Kind], m.SHA256)
	}
	return hashes
}
