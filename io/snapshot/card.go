package snapshot

import (
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/template"
)

//go:embed card.md.tmpl
var cardText string

var cardTemplate = template.Must(template.New("card").Funcs(template.FuncMap{
	"thousands": thousands,
	"cell":      cell,
	"code":      code,
}).Parse(cardText))

// cell is text of a table's cell that Markdown shows as it is.
func cell(s string) string {
	return strings.NewReplacer("\n", " ", "\r", " ", `\`, `\\`, "|", `\|`, "`", "\\`", "<", "&lt;", ">", "&gt;", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`).Replace(s)
}

// code is text of a table's cell as code: within more backticks than it has in a row.
// A bar would end the cell even there, and a table has no way around that in code.
func code(s string) string {
	if strings.ContainsAny(s, "|\n\r") {
		return cell(s)
	}
	fence := "`"
	for strings.Contains(s, fence) {
		fence += "`"
	}
	if len(fence) == 1 {
		return fence + s + fence
	}
	return fence + " " + s + " " + fence
}

// WriteCard writes the dataset card, the README.md of a snapshot.
func WriteCard(w io.Writer, m Manifest) error {
	if err := cardTemplate.Execute(w, m); err != nil {
		return fmt.Errorf("snapshot: writing the dataset card: %w", err)
	}
	return nil
}

// Inherits is whether some of the parts lie in the folders of earlier snapshots.
func (m Manifest) Inherits() bool {
	return slices.ContainsFunc(m.Parts, func(p Part) bool { return p.Snapshot != "" })
}

// Rows is the number of transitions in all parts.
func (m Manifest) Rows() int64 {
	rows := int64(0)
	for _, p := range m.Parts {
		rows += p.Rows
	}
	return rows
}

// thousands writes 1234567 as 1,234,567.
func thousands(n int64) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
