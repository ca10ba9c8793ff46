package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/periscope-collector/periscope/sink/splunk/hec/hectest"
)

// serveHEC returns the beginning of a script for shell: it starts a server of
// events and writes splunk.yaml and spool/ for it.
func serveHEC(t *testing.T) string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return "PERISCOPE_TEST_HEC=$PWD " + program + " -test.run '^TestServeHEC$' >/dev/null &\n" +
		"until test -f splunk.yaml; do kill -0 $!; sleep 0.1; done\n"
}

// TestServeHEC is that server. It ends with the script.
func TestServeHEC(t *testing.T) {
	dir := os.Getenv("PERISCOPE_TEST_HEC")
	if dir == "" {
		return
	}
	s := hectest.New(t, hecToken)
	config, lanes := spoolOf(t, s, refusedLine(t, "flow", 6, `{"event":"a"}`))
	if err := os.CopyFS(filepath.Join(dir, "spool"), os.DirFS(lanes)); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "hec.token"), []byte(hecToken+"\n"))
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(writeFile(t, filepath.Join(dir, "splunk.new"), text), filepath.Join(dir, "splunk.yaml")); err != nil {
		t.Fatal(err)
	}
	select {} // until the namespace ends
}
