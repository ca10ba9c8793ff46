package metrics

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/packet"
)

const page = "../../docs/metrics.md"

// row is the line of the page that a metric asks for.
func row(m *metric) string {
	kind := map[bool]string{true: "counter", false: "gauge"}[m.kind == counter]
	labels := ""
	if len(m.labels) > 0 {
		labels = "`" + strings.Join(m.labels, "`, `") + "`"
	}
	cells := []string{"", "`" + m.name + "`", kind, labels, m.help, m.normal, ""}
	return strings.TrimSpace(regexp.MustCompile(` +`).ReplaceAllString(strings.Join(cells, " | "), " "))
}

// TestPage holds docs/metrics.md and the table together: the same metrics in
// the same order, with the same type, labels, meaning and expectation.
func TestPage(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "| `periscope_") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	var want []string
	for i := range table {
		want = append(want, row(&table[i]))
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("docs/metrics.md lacks this line:\n%s", line)
		}
	}
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("docs/metrics.md has a line that no metric asks for:\n%s", line)
		}
	}
	if !t.Failed() && !slices.Equal(got, want) {
		t.Error("docs/metrics.md has the metrics in another order than the table, or twice")
	}
}

// TestPageWords holds the page's reasons, kinds and drops against the program's.
func TestPageWords(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` \\| [^|]+ \\|$").FindAllStringSubmatch(string(text), -1) {
		got = append(got, m[1])
	}
	for r := packet.None + 1; r < packet.NumReasons; r++ {
		want = append(want, r.String())
	}
	for a := packet.NoAnomaly + 1; a < packet.NumAnomalies; a++ {
		want = append(want, a.String())
	}
	for d := range packet.NumDrops {
		want = append(want, d.String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("docs/metrics.md explains\n%q, want\n%q", got, want)
	}
}

// TestPageNames holds the metrics that documents and deployment files mention
// against the table.
func TestPageNames(t *testing.T) {
	names := make(map[string]bool)
	for _, m := range table {
		names[m.name] = true
	}
	mentioned := 0
	all, own := regexp.MustCompile(`\bperiscope_[a-z0-9_]+[a-z0-9]\b`), regexp.MustCompile(`\bperiscope_(splunk|sink)_[a-z0-9_]+[a-z0-9]\b`)
	for file, pattern := range map[string]*regexp.Regexp{
		"README.md": all, "docs/operations.md": all, "docs/architecture.md": all, "docs/metrics.md": all,
		"docs/splunk.md": own, // it has names of Splunk's objects too
	} {
		text, err := os.ReadFile("../../" + file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range pattern.FindAllString(string(text), -1) {
			mentioned++
			if !names[name] {
				t.Errorf("%s mentions %s, and there is no such metric", file, name)
			}
		}
	}
	if mentioned < len(table) {
		t.Errorf("%d mentions found, fewer than there are metrics", mentioned)
	}
}
