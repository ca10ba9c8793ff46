package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/bench/blast/live"
)

// TestParse refuses a command line before anything is run.
func TestParse(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return name
	}
	for _, name := range []string{"periscope", "blast", "limit"} {
		write(name, "", 0o700)
	}
	pcap, text := write("pcap", "\x4d\x3c\xb2\xa1", 0o600), write("text", "text", 0o600)
	short := write("short", "\x0a\x0d\x0d", 0o600)
	for name, test := range map[string]struct {
		args string
		want string // in the error; empty is none
	}{
		"all there":          {"-only periscope,limit -sizes 8900 -capture " + pcap, ""},
		"stray argument":     {"-only periscope afpacket", `"afpacket": want flags`},
		"no number":          {"-only limit -sizes 504,x", `"x": want bytes`},
		"no capture":         {"-only limit -capture " + text, "neither pcap nor pcapng"},
		"short capture":      {"-only limit -capture " + short, "neither pcap nor pcapng"},
		"capture not there":  {"-only limit -capture " + dir + "/none", "none: no such file"},
		"imix not there":     {"", "/imix: make bench-peers builds it"},
		"programs elsewhere": {"-only limit -bin " + dir + "/none", "none/periscope: make bench-peers builds it"},
	} {
		_, err := parse(append([]string{"-bin", dir}, strings.Fields(test.args)...))
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

func TestParseSizes(t *testing.T) {
	for _, n := range []int{live.MinSize, live.MaxSize} {
		if got, err := parseSizes(strconv.Itoa(n)); err != nil || len(got) != 1 || got[0] != n {
			t.Errorf("%d: %v, %v", n, got, err)
		}
	}
	for _, n := range []int{live.MinSize - 1, live.MaxSize + 1, -1} {
		if got, err := parseSizes("504," + strconv.Itoa(n)); err == nil {
			t.Errorf("%d: %v, want an error", n, got)
		}
	}
}
