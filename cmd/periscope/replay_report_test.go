package main

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The report on the flows goes to standard output before the account. A file
// that is damaged has one too, of what came before the damage.
func TestReplayReports(t *testing.T) {
	m := newMirror(300)
	for _, c := range []struct {
		name string
		file []byte
		code int
	}{
		{"whole", m.file, 0},
		{"damaged", m.file[:len(m.file)-1], 1},
	} {
		path := writeFile(t, filepath.Join(t.TempDir(), "mirror.pcap"), c.file)
		r := runProgram(t, "replay", "--report", "blind-spots", path)
		account, records := strings.Index(r.stdout, "\nreceived "), regexp.MustCompile(`(?m)^stored by report +[1-9][0-9]* records$`)
		if r.code != c.code || !strings.HasPrefix(r.stdout, "Blind spots: ") || account < 0 || !records.MatchString(r.stdout) {
			t.Errorf("%s: %+v", c.name, r)
		}
	}
	if r := runProgram(t, "replay", "--report", "flows", "none.pcap"); r.code != 2 || !strings.Contains(r.errorLine(t), "blind-spots") {
		t.Errorf("a report that does not exist: %+v", r)
	}
	if r := runProgram(t, "replay", "--report", "blind-spots", "--summary", "-", "none.pcap"); r.code != 2 || !strings.Contains(r.errorLine(t), "--summary -") {
		t.Errorf("two results on one output: %+v", r)
	}
}
