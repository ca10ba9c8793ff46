package record_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/record"
)

// section returns the rows of the page's table below a heading, from the first
// whose first cell is code.
func section(t *testing.T, heading string) []string {
	t.Helper()
	text, err := os.ReadFile("../docs/formats.md")
	if err != nil {
		t.Fatal(err)
	}
	_, body, found := strings.Cut(string(text), "\n"+heading+"\n")
	if !found {
		t.Fatalf("docs/formats.md has no heading %q", heading)
	}
	body, _, _ = strings.Cut(body, "\n#")
	var rows []string
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, "| `") {
			rows = append(rows, strings.TrimSpace(line))
		}
	}
	return rows
}

// same compares the page's rows with what the program asks for, both ways and
// in order.
func same(t *testing.T, got, want []string) {
	t.Helper()
	for _, row := range want {
		if !slices.Contains(got, row) {
			t.Errorf("docs/formats.md lacks:\n%s", row)
		}
	}
	for _, row := range got {
		if !slices.Contains(want, row) {
			t.Errorf("docs/formats.md has what the program has not:\n%s", row)
		}
	}
	if !t.Failed() && !slices.Equal(got, want) {
		t.Error("docs/formats.md has another order, or a row twice")
	}
}

func TestPageFields(t *testing.T) {
	var want []string
	for _, f := range record.FlowFields() {
		want = append(want, fmt.Sprintf("| `%s` | %d | %s | %s |", f.Name, f.Version, f.Parquet, f.Meaning))
	}
	same(t, section(t, "### Fields"), want)
}

func TestPageKeys(t *testing.T) {
	var want []string
	for _, k := range record.Keys() {
		want = append(want, fmt.Sprintf("| `%s` | %s | %s |", k.Name, k.Type, k.Meaning))
	}
	same(t, section(t, "### Keys"), want)
}

// TestPageReasons holds the words; what they mean is the page's.
func TestPageReasons(t *testing.T) {
	var got, want []string
	for _, row := range section(t, "### Reasons") {
		got = append(got, strings.Split(row, "`")[1])
	}
	for r := range packet.NumFlowReasons {
		want = append(want, r.String())
	}
	same(t, got, want)
}

// TestPageClasses holds the words, and whether flow logs and AWS's mirroring
// have the class.
func TestPageClasses(t *testing.T) {
	var got, want []string
	for _, row := range section(t, "## Classes") {
		cells := strings.Split(row, " | ")
		if len(cells) != 4 {
			t.Fatalf("%d cells: %s", len(cells), row)
		}
		got = append(got, fmt.Sprintf("%s blind %t unexpected %t", strings.Trim(cells[0], "|` "),
			cells[2] == "no", cells[3] == "unexpected |"))
	}
	for c := range packet.NumClasses {
		want = append(want, fmt.Sprintf("%s blind %t unexpected %t", c, c.Blind(), c.Unexpected()))
	}
	slices.Sort(got) // the page has its own order
	slices.Sort(want)
	same(t, got, want)
}
