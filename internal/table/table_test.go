package table

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// A table is as wide as its cells, and where that is too much, soft columns give.
func TestWrite(t *testing.T) {
	long := strings.Repeat("x", 200)
	for name, test := range map[string]struct {
		columns []Column
		rows    [][]string
		want    string
	}{
		"titles alone": {[]Column{{Title: "A"}, {Title: "B"}}, nil, "A  B\n"},
		"aligned": {[]Column{{Title: "NAME"}, {Title: "N", Right: true}}, [][]string{{"a", "1"}, {"äöüäöü", "100"}},
			"NAME      N\na         1\näöüäöü  100\n"},
		"the widest soft column gives": {[]Column{{Title: "A", Soft: true}, {Title: "B", Soft: true}}, [][]string{{long, "b"}},
			"A" + strings.Repeat(" ", Width-2) + "B\n" + strings.Repeat("x", 58) + "…" + strings.Repeat("x", 58) + "  b\n"},
		"no column gives": {[]Column{{Title: "A"}}, [][]string{{long}}, "A\n" + long + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			table := Table{Columns: test.columns}
			for _, row := range test.rows {
				table.Add(row...)
			}
			var b strings.Builder
			if err := table.Write(&b); err != nil || b.String() != test.want {
				t.Errorf("%v\n%q\nwant\n%q", err, b.String(), test.want)
			}
		})
	}
}

// Soft columns give only down to minSoft.
func TestSoftRemains(t *testing.T) {
	table := Table{Columns: []Column{{Title: "A", Soft: true}, {Title: "B"}}}
	table.Add(strings.Repeat("s", 20), strings.Repeat("x", Width))
	var b strings.Builder
	if err := table.Write(&b); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if n := utf8.RuneCountInString(line); n > minSoft+2+Width+1 {
			t.Errorf("%d characters: %q", n, line)
		}
	}
	if !strings.Contains(b.String(), "ssss…ssss") {
		t.Error(b.String())
	}
}

func TestCut(t *testing.T) {
	for _, test := range []struct {
		text  string
		width int
		want  string
	}{
		{"", 3, ""}, {"abc", 3, "abc"}, {"abcd", 3, "a…d"}, {"abcde", 4, "ab…e"}, {"äöüäöü", 5, "äö…öü"}, {"abcdefgh", 1, "…"},
	} {
		if got := Cut(test.text, test.width); got != test.want {
			t.Errorf("%q in %d: %q, want %q", test.text, test.width, got, test.want)
		}
	}
}

func TestPlain(t *testing.T) {
	for text, want := range map[string]string{"": "", "a b": "a b", "a\nb\x1b[31m\x00": "a?b?[31m?", "\xff": "\ufffd", "ä…": "ä…"} {
		if got := Plain(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
