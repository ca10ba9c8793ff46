package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/internal/config"
)

// check prints the effective configuration, which means the same when it is
// read again.
func TestCheck(t *testing.T) {
	dir := t.TempDir()
	shipped, err := os.ReadFile("../../deploy/periscope.yaml")
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "sessions.yaml"), []byte(mirrorSessions))
	writeFile(t, filepath.Join(dir, "token"), []byte("open sesame"))
	writeFile(t, filepath.Join(dir, "hec.token"), []byte(hecToken))
	for name, text := range map[string]string{
		"shipped":   string(shipped),
		"reference": config.Reference,
		"empty":     "",
		"much":      "sessions: {file: sessions.yaml, unknown: drop}\nadmin: {token_file: token}\ndrain: 20s\nlog: {level: debug, format: json}\n",
	} {
		t.Run(name, func(t *testing.T) {
			path := writeFile(t, filepath.Join(dir, name+".yaml"), []byte(text))
			first := runProgram(t, "check", "--config", path)
			if first.code != exitOK || first.stderr != "" {
				t.Fatalf("%+v", first)
			}
			again := runProgram(t, "check", "--config", writeFile(t, filepath.Join(dir, name+"-again.yaml"), []byte(first.stdout)))
			if again != first {
				t.Errorf("%+v\nthe second time %+v", first, again)
			}
			if strings.Contains(first.stdout, "sesame") {
				t.Errorf("it prints a secret:\n%s", first.stdout)
			}
		})
	}
	// Relative paths are relative to the file.
	r := runProgram(t, "check", "--config", filepath.Join(dir, "much.yaml"))
	for _, want := range []string{"file: " + dir + "/sessions.yaml\n", "token_file: " + dir + "/token\n"} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("no %q in\n%s", want, r.stdout)
		}
	}
	// Without a file it prints the defaults.
	if r := runProgram(t, "check"); r.code != exitOK || !strings.Contains(r.stdout, "127.0.0.1:9477") || !strings.Contains(r.stdout, "dir: captures\n") {
		t.Errorf("%+v", r)
	}
}

// A collector without a token for Splunk starts, so that is no error, and said. One
// without the file of an authority does not.
func TestCheckToken(t *testing.T) {
	dir := t.TempDir()
	token := filepath.Join(dir, "hec.token")
	check := func(more string) result {
		text := "sinks: {splunk: {endpoints: [https://127.0.0.1:1], token_file: hec.token" + more + "}}\n"
		return runProgram(t, "check", "--config", writeFile(t, filepath.Join(dir, "p.yaml"), []byte(text)))
	}
	const waits = "no token for splunk yet, its events will wait in the spool: token file "
	r := check("")
	if line := r.errorLine(t); r.code != exitOK || line != strings.TrimSuffix(waits, " ")+": open "+token+
		": no such file or directory; put the token there, readable for this service" {
		t.Errorf("%+v", r)
	}
	for _, text := range []string{"\n", hecToken + " x\n"} {
		writeFile(t, token, []byte(text))
		r = check("")
		if line := r.errorLine(t); r.code != exitOK || !strings.HasPrefix(line, waits+token+": ") ||
			!strings.HasSuffix(line, "; put one token on a line") || strings.Contains(line, hecToken) || !strings.Contains(r.stdout, "hec.token") {
			t.Errorf("%q: %+v", text, r)
		}
	}
	writeFile(t, token, []byte(hecToken+"\n"))
	if r := check(""); r.code != exitOK || r.stderr != "" {
		t.Errorf("%+v", r)
	}
	r = check(", ca_file: none.pem")
	if line := r.errorLine(t); r.code != exitFailure || line != "splunk: CA file: open "+dir+"/none.pem: no such file or directory" {
		t.Errorf("%+v", r)
	}
}
