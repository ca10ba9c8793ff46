package main

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// tableWidth is how many characters wide a table is at most.
const tableWidth = 120

// A column is one of a table for people.
type column struct {
	title string
	right bool // numbers
	soft  bool // cells are cut where the table would be too wide
}

// A table is shown to people, at most tableWidth wide.
type table struct {
	columns []column
	rows    [][]string
}

// add adds a row, of which the cells are plain text.
func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// write writes the table, with its titles.
func (t *table) write(w io.Writer) error {
	widths := t.widths()
	titles := make([]string, len(t.columns))
	for i, c := range t.columns {
		titles[i] = c.title
	}
	var b strings.Builder
	for _, row := range append([][]string{titles}, t.rows...) {
		var line strings.Builder
		for i, c := range t.columns {
			width := -widths[i]
			if c.right {
				width = widths[i]
			}
			fmt.Fprintf(&line, "%*s  ", width, cut(row[i], widths[i]))
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// widths returns how wide the columns are: what the widest cell takes, less what
// is too much for the table, which the widest soft columns give.
func (t *table) widths() []int {
	widths := make([]int, len(t.columns))
	total := 2 * (len(t.columns) - 1)
	for i, c := range t.columns {
		widths[i] = utf8.RuneCountInString(c.title)
		for _, row := range t.rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
		total += widths[i]
	}
	for ; total > tableWidth; total-- {
		widest := -1
		for i, c := range t.columns {
			if c.soft && (widest < 0 || widths[i] > widths[widest]) {
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

// cut returns a text in at most so many characters. What is too much is taken out
// of the middle: names differ at their ends.
func cut(text string, width int) string {
	r := []rune(text)
	if len(r) <= width {
		return text
	}
	tail := (width - 1) / 2
	return string(r[:width-1-tail]) + "…" + string(r[len(r)-tail:])
}

// plain keeps a text of others on one line, without control characters.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}
