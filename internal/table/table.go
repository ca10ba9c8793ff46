// Package table lays values out for people: aligned columns of plain text, at most
// 120 characters wide. A Table lives as long as it is shown, and belongs to one
// goroutine. What is said in the cells is the caller's.
package table

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Width is how many characters wide a table is at most, unless columns that are not
// cut need more.
const Width = 120

// A Column is one of a table.
type Column struct {
	Title string
	Right bool // numbers
	Soft  bool // cells are cut where the table would be too wide
}

// A Table is its columns, and the rows that were added.
type Table struct {
	Columns []Column
	rows    [][]string
}

// Add adds a row, of which the cells are plain text: one for each column.
func (t *Table) Add(cells ...string) { t.rows = append(t.rows, cells) }

// Write writes the table, with its titles, at once.
func (t *Table) Write(w io.Writer) error {
	widths := t.widths()
	titles := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		titles[i] = c.Title
	}
	var b strings.Builder
	for _, row := range append([][]string{titles}, t.rows...) {
		var line strings.Builder
		for i, c := range t.Columns {
			width := -widths[i]
			if c.Right {
				width = widths[i]
			}
			fmt.Fprintf(&line, "%*s  ", width, Cut(row[i], widths[i]))
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// widths returns how wide the columns are: what the widest cell takes, less what
// is too much for the table, which the widest soft columns give.
func (t *Table) widths() []int {
	widths := make([]int, len(t.Columns))
	total := 2 * (len(t.Columns) - 1)
	for i, c := range t.Columns {
		widths[i] = utf8.RuneCountInString(c.Title)
		for _, row := range t.rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
		total += widths[i]
	}
	for ; total > Width; total-- {
		widest := -1
		for i, c := range t.Columns {
			if c.Soft && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 || widths[widest] <= minSoft {
			break
		}
		widths[widest]--
	}
	return widths
}

// minSoft is what is left of a soft column at least.
const minSoft = 9

// Cut returns a text in at most so many characters. What is too much is taken out
// of the middle: names differ at their ends.
func Cut(text string, width int) string {
	r := []rune(text)
	if len(r) <= width {
		return text
	}
	tail := (width - 1) / 2
	return string(r[:width-1-tail]) + "…" + string(r[len(r)-tail:])
}

// Plain keeps a text of others on one line, without control characters.
func Plain(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}
