package aws_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// judged runs a program on files.
func judged(t *testing.T, program string, args ...string) {
	t.Helper()
	need(t, program)
	if out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput(); err != nil {
		t.Errorf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
}

func scripts(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob("*.sh")
	if err != nil || len(all) != 3 {
		t.Fatalf("scripts %q, %v", all, err)
	}
	return all
}

func TestShellcheck(t *testing.T) { judged(t, "shellcheck", scripts(t)...) }

func TestScriptsParse(t *testing.T) {
	for _, script := range scripts(t) {
		if out, err := exec.CommandContext(t.Context(), "sh", "-n", script).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", script, err, out)
		}
	}
}

func TestDrainUnitVerify(t *testing.T) {
	judged(t, "systemd-analyze", "verify", "periscope-drain.service")
}

// TestDrainUnit: the unit runs the script where release.sh puts it, with the names
// that user data write.
func TestDrainUnit(t *testing.T) {
	unit, release := string(read(t, "periscope-drain.service")), string(read(t, "release.sh"))
	for _, want := range []string{"ExecStart=/bin/sh /usr/share/periscope/aws/periscope-drain.sh\n", "EnvironmentFile=/etc/periscope/stack.env\n"} {
		if !strings.Contains(unit, want) {
			t.Errorf("the unit lacks %s", want)
		}
	}
	for _, file := range []string{"boot.sh", "periscope-drain.sh", "prometheus.yaml", "amazon-cloudwatch-agent.json", "periscope-drain.service"} {
		if !strings.Contains(release, " deploy/aws/"+file) {
			t.Errorf("release.sh does not take %s", file)
		}
	}
}
