package awsfake

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// program is Debian's command line, which python runs; others of these names may
// come first in PATH.
const (
	program = "/usr/bin/aws"
	python  = "/usr/bin/python3"
)

// A commandLine is AWS's, started once for many commands.
type commandLine struct {
	in  io.Writer
	out *json.Decoder
}

// environ is what a command of the server's gets: one attempt, no time zone.
func environ(s *Server) []string {
	return append(os.Environ(), append(s.Environ(), "AWS_MAX_ATTEMPTS=1", "TZ=UTC")...)
}

func newCommandLine(t *testing.T, s *Server) *commandLine {
	t.Helper()
	if _, err := os.Stat(program); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("needs %s: run make tools", program)
		}
		t.Skipf("needs %s: run make tools", program)
	}
	cmd := exec.Command(python, "testdata/aws.py")
	cmd.Env = environ(s)
	cmd.Stderr = os.Stderr
	in := must(cmd.StdinPipe())(t)
	out := must(cmd.StdoutPipe())(t)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close() // ends it
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	return &commandLine{in, json.NewDecoder(bufio.NewReader(out))}
}

// A printed is what a command printed, and how it ended.
type printed struct {
	Status   int
	Out, Err string
}

// run runs a command against the server.
func (c *commandLine) run(t *testing.T, s *Server, arguments ...string) printed {
	t.Helper()
	line := must(json.Marshal(append([]string{"--endpoint-url", s.URL, "--output", "json"}, arguments...)))(t)
	if _, err := c.in.Write(append(line, '\n')); err != nil {
		t.Fatal(err)
	}
	var p printed
	if err := c.out.Decode(&p); err != nil {
		t.Fatalf("aws %s: %v", strings.Join(arguments, " "), err)
	}
	return p
}

// failureLine is how the command line prints a service's error.
var failureLine = regexp.MustCompile(`^\s*An error occurred \(([^)]*)\) when calling the \w+ operation(?: \(reached max retries: 0\))?: (.*)\s*$`)

// failure returns the service's error, with which a command ends with status
// 254; "" if there was none. Any other is the test's end.
func (p *printed) failure(t *testing.T) (code, message string) {
	t.Helper()
	if p.Status == 0 {
		return "", ""
	}
	found := failureLine.FindStringSubmatch(p.Err)
	if found == nil || p.Status != 254 {
		t.Fatalf("status %d: %s", p.Status, p.Err[max(0, len(p.Err)-500):])
	}
	return found[1], found[2]
}
