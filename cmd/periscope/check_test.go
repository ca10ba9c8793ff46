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
