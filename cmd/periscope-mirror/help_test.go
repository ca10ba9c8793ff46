package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// --help of every command lists what there is.
func TestHelp(t *testing.T) {
	dir := t.TempDir()
	root := newRootCommand()
	top := runProgram(t, dir, "--help")
	if none := runProgram(t, dir); none != top || top.code != exitOK || top.stderr != "" {
		t.Errorf("without arguments %+v\nwith --help %+v", none, top)
	}
	for name, flags := range map[string][]string{
		"reconcile": {"rules", "changes", "dry-run", "json"},
		"run":       {"rules", "changes", "every"},
		"check":     {"rules"},
		"version":   {},
	} {
		t.Run(name, func(t *testing.T) {
			cmd, _, err := root.Find([]string{name})
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(top.stdout, fmt.Sprintf("  %-11s %s\n", cmd.Name(), cmd.Short)) {
				t.Errorf("not in\n%s", top.stdout)
			}
			r := runProgram(t, dir, name, "--help")
			if r.code != exitOK || r.stderr != "" {
				t.Errorf("%+v", r)
			}
			for _, flag := range flags {
				if !strings.Contains(r.stdout, " --"+flag+" ") {
					t.Errorf("no --%s in\n%s", flag, r.stdout)
				}
			}
			n := 0
			cmd.LocalFlags().VisitAll(func(*pflag.Flag) { n++ })
			if n != len(flags) {
				t.Errorf("%d flags, want %q", n, flags)
			}
			if other := runProgram(t, dir, "help", name); other != r {
				t.Errorf("help %s differs: %+v", name, other)
			}
		})
	}
}

// shell runs a script in a directory, with the program on its path.
func shell(t *testing.T, dir, script string) (stdout string) {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script)
	var out, log bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &log
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", "PATH="+filepath.Dir(path)+":"+os.Getenv("PATH"))
	if err := cmd.Run(); err != nil || strings.Contains(log.String(), "DATA RACE") {
		t.Fatalf("%v\n%s\n%s%s", err, script, &out, &log)
	}
	return out.String()
}

// inTurn has a script's daemons run until they have said what they did, before the
// next line.
func inTurn(line string) string {
	if !strings.HasPrefix(line, "periscope-mirror run ") {
		return line + "\n"
	}
	return "rm -f log\n" + line + " 2>log &\npid=$!\nuntil grep -q 'following the tasks' log; do kill -0 $pid; sleep 0.1; done\nkill -TERM $pid\nwait $pid\n"
}

// The examples of --help do what they say.
func TestHelpExamples(t *testing.T) {
	h := newHome(t, homeRules)
	task := h.run("web", "")
	script := ""
	for _, cmd := range newRootCommand().Commands() {
		for line := range strings.Lines(cmd.Example) {
			script += inTurn(strings.TrimSpace(line))
		}
	}
	if strings.Count(script, "periscope-mirror ") != 5 {
		t.Errorf("examples\n%s", script)
	}
	out := shell(t, h.dir, script)
	for _, want := range []string{"mirror.yaml is valid: ", "ACTION  INTERFACE", `"dry_run": true`, task.Interface() + "  web/"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	h.want(task)
	if files, _ := filepath.Glob(filepath.Join(h.dir, "changes/*/*/*/*/*/*/*.json")); len(files) != 1 {
		t.Errorf("changes %q", files)
	}
}
