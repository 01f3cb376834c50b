// Package version names the software that made a dataset, as manifests, reports
// and --version give it.
package version

const (
	// Version is the software's version.
	Version = "0.1.0"
	// Software is the name and version that manifests record.
	Software = "diffstitch " + Version
)
