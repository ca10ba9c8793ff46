package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestCounts reads what receivers say they kept.
func TestCounts(t *testing.T) {
	counts := make(map[string]func(string, string) (uint64, uint64, error))
	for _, r := range (programs{}).receivers() {
		counts[r.name] = r.count
	}
	for name, test := range map[string]struct {
		text string
		want uint64
	}{
		"tcpdump": {"tcpdump: listening on b1, link-type EN10MB (Ethernet), snapshot length 262144 bytes\n" +
			"1 packet captured\n3 packets received by filter\n2 packets dropped by kernel\n", 1},
		"dumpcap": {"Capturing on 'b1'\nFile: /x/out_00001\nPackets: 40 Packets: 70 Packets captured: 12345\n" +
			"Packets received/dropped on interface 'b1': 12345/678 (pcap:678/dumpcap:0/flushed:0/ps_ifdrop:0) (94.8%)\n", 12345},
		"netsniff-ng": {"Running! Hang up with ^C!\n\n       99971  packets incoming (0 unread on exit)\n" +
			"       99968  packets passed filter\n           3  packets failed filter (out of space)\n", 99968},
		"limit udp write": {"ready\n17 packets\n", 17},
	} {
		if kept, lost, err := counts[name](test.text, ""); kept != test.want || lost != 0 || err != nil {
			t.Errorf("%s: %d kept, %d lost, %v, want %d kept", name, kept, lost, err, test.want)
		}
		if _, _, err := counts[name]("it fell over", ""); err == nil {
			t.Errorf("%s: no error without a count", name)
		}
	}
}

func TestReadSummary(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "summary.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"balanced":true,"sinks":{"pcap":{"stored":7,"dropped":{"queue_full":3}},"flowlog":{"stored":1,"dropped":{"queue_full":2}}}}`)
	if kept, lost, err := readSummary("", dir); kept != 7 || lost != 2 || err != nil {
		t.Errorf("%d kept, %d lost, %v, want 7 and 2", kept, lost, err)
	}
	for name, text := range map[string]string{"not balanced": `{"balanced":false}`, "no JSON": `{`} {
		write(text)
		if _, _, err := readSummary("", dir); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestOnly(t *testing.T) {
	for _, test := range []struct {
		words []string
		want  int
	}{
		{[]string{"periscope"}, 3}, {[]string{"tcpdump", "limit udp"}, 3}, {[]string{"tcpdump and more"}, 0}, {nil, 0},
	} {
		if got := only((programs{}).receivers(), test.words); len(got) != test.want {
			t.Errorf("%q: %d receivers, want %d", test.words, len(got), test.want)
		}
	}
}
