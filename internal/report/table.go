package report

import (
	"strings"
	"unicode/utf8"
)

// A table is text in columns, two spaces apart, as wide as their widest cell.
type table struct {
	left uint // bit i: column i is aligned to the left, else to the right
	rows [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) write(b *strings.Builder, indent string) {
	var widths []int
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range t.rows {
		var line strings.Builder
		for i, cell := range row {
			space := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if t.left&(1<<i) == 0 {
				line.WriteString(space)
				space = ""
			}
			line.WriteString(cell + space + "  ")
		}
		b.WriteString(indent + strings.TrimRight(line.String(), " ") + "\n")
	}
}
