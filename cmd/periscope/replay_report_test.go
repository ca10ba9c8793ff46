package main

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/bench/traffic"
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
		account, records := strings.Index(r.stdout, "\nreceived "), regexp.MustCompile(`(?m)^stored by report +[1-9][0-9]* records?$`)
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

// Of one packet the account speaks in the singular, in line with the rest.
func TestReplayOnePacket(t *testing.T) {
	file, _ := capturedFrames(1, traffic.LinkEthernet)
	r := runProgram(t, "replay", "--bare-vni", "7", "--out", t.TempDir(), writeFile(t, filepath.Join(t.TempDir(), "one.pcap"), file))
	want := regexp.MustCompile(`\Areceived +1 packet   +[0-9]+ bytes\ndelivered +1 packet   +[0-9]+ bytes\n` +
		`lost before us +0 packets\nstored by pcap +1 frame\nsession vni-7 \(VNI 7\) +1 packet   `)
	if r.code != 0 || !want.MatchString(r.stdout) {
		t.Errorf("%+v", r)
	}
}
