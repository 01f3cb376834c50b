package table

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
)

// remote are the schemes of locations that are taken as they stand.
var remote = []string{"gs://", "s3://"}

// URI is a file or a folder as a table names it: an absolute path as file:///…, and what
// is gs://… or s3://… already as it stands. Readers differ in whether they decode a URI:
// a path on which they would disagree gives ErrOptions.
func URI(path string) (string, error) {
	for _, scheme := range remote {
		if strings.HasPrefix(path, scheme) {
			return path, nil
		}
	}
	if scheme, _, found := strings.Cut(path, "://"); found && scheme != "file" {
		return "", fmt.Errorf("table: %q: %w: locations are paths, file://, gs:// and s3://", path, ErrOptions)
	}
	absolute, err := filepath.Abs(strings.TrimPrefix(path, "file://"))
	if err != nil {
		return "", fmt.Errorf("table: the location of %q: %w", path, err)
	}
	if strings.ContainsAny(absolute, "%?#") || strings.ContainsFunc(absolute, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", fmt.Errorf("table: %q: %w: paths with %%, ?, # or control characters are not the same file to every reader of a table; move the folder", absolute, ErrOptions)
	}
	return "file://" + absolute, nil
}

// warehouseURI is where a table's own files go. They are named by joining URLs, which
// encodes what plain paths may have and readers would not decode.
func warehouseURI(path string) (string, error) {
	uri, err := URI(path)
	if err != nil {
		return "", err
	}
	if u, err := url.Parse(uri); err != nil || u.String() != uri {
		return "", fmt.Errorf("table: warehouse %q: %w: only characters that a URL has as they are: letters of ASCII, digits and -._~/", path, ErrOptions)
	}
	if !strings.HasPrefix(uri, "file://") {
		return "", fmt.Errorf("table: warehouse %q: %w: this program writes tables to file systems alone", path, ErrOptions)
	}
	return uri, nil
}
