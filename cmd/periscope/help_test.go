package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/periscope-collector/periscope/bench/traffic"
)

// --help of every command lists what there is.
func TestHelp(t *testing.T) {
	root := newRootCommand()
	top := runProgram(t, "--help")
	if none := runProgram(t); none != top || top.code != exitOK || top.stderr != "" {
		t.Errorf("without arguments %+v\nwith --help %+v", none, top)
	}
	for name, flags := range map[string][]string{
		"run":    {"config", "listen", "out", "flows", "backend", "interface", "workers", "summary"},
		"replay": {"config", "out", "flows", "report", "simulate-filter", "workers", "pace", "bare-vni", "sessions", "summary"},
		"send": {"to", "vni", "rate", "count", "flows", "size",
			"interface", "filter", "filter-name", "packet-length", "limit", "cpu"},
		"check":   {"config", "splunk"},
		"version": {},

		"sessions":     {"config", "admin", "token-file", "json", "all", "journal", "at", "address"},
		"spool":        {},
		"spool list":   {"config", "dir"},
		"spool show":   {"config", "dir", "n"},
		"spool resend": {"config", "dir"},
	} {
		t.Run(name, func(t *testing.T) {
			names := strings.Fields(name)
			cmd, _, err := root.Find(names)
			if err != nil {
				t.Fatal(err)
			}
			above := runProgram(t, append(names[:len(names)-1:len(names)-1], "--help")...)
			if !strings.Contains(above.stdout, fmt.Sprintf("  %-11s %s\n", cmd.Name(), cmd.Short)) {
				t.Errorf("not in\n%s", above.stdout)
			}
			r := runProgram(t, append(names, "--help")...)
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
			if other := runProgram(t, append([]string{"help"}, names...)...); other != r {
				t.Errorf("help %s differs: %+v", name, other)
			}
		})
	}
}

// shell runs a script, with the program on its path, in a network namespace
// where the tunnel ports are free.
func shell(t *testing.T, dir, script string) (stdout string) {
	t.Helper()
	if os.Geteuid() != 0 {
		unavailable(t, "needs root to make a network namespace: run the test as root")
	}
	for _, name := range []string{"unshare", "ip", "curl", "tshark"} {
		if _, err := exec.LookPath(name); err != nil {
			unavailable(t, fmt.Sprintf("needs %s: run make tools", name))
		}
	}
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "unshare", "--net", "--pid", "--fork", "--kill-child",
		"bash", "-euo", "pipefail", "-c", "ip link set lo up\n"+script)
	var out, log bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &log
	cmd.Env = append(environment(), "PATH="+filepath.Dir(path)+":"+os.Getenv("PATH"))
	if err := cmd.Run(); err != nil || strings.Contains(log.String(), "DATA RACE") {
		t.Fatalf("%v\n%s\n%s%s", err, script, &out, &log)
	}
	return out.String()
}

// The examples of --help do what they say.
func TestHelpExamples(t *testing.T) {
	dir := t.TempDir()
	m := newMirror(1000)
	writeFile(t, filepath.Join(dir, "mirror.pcap"), m.file)
	frames, _ := capturedFrames(30, traffic.LinkEthernet)
	writeFile(t, filepath.Join(dir, "frames.pcap"), frames)
	writeFile(t, filepath.Join(dir, "filters.yaml"), []byte(mirrorFilters))
	shipped, err := os.ReadFile("../../deploy/periscope.yaml")
	if err != nil {
		t.Fatal(err)
	}
	config := strings.NewReplacer("/var/lib/periscope/captures", "shipped", "allow: [", "allow: [127.0.0.1/32, ").Replace(string(shipped))
	writeFile(t, filepath.Join(dir, "periscope.yaml"), []byte(config))

	writeJournal(t, filepath.Join(dir, "sessions.journal"))

	var run, send, ask, other []string
	for _, cmd := range commands(newRootCommand()) {
		for _, line := range exampleLines(cmd) {
			line = strings.NewReplacer("/etc/periscope/", "", "/var/lib/periscope/", "", "collector.example.com", "127.0.0.1").Replace(line)
			switch {
			case strings.HasPrefix(line, "periscope run"):
				run = append(run, line)
			case strings.Contains(line, "--interface default"): // until it is told to end; the namespace has no route, and the collector
				line = strings.NewReplacer("--interface default", "--interface lo", "127.0.0.1", "198.18.77.2").Replace(line)
				send = append(send, "ip route replace 198.18.77.2 dev lo\nrm -f tap\n"+line+" 2>tap &\ntap=$!\nuntil grep -q msg=mirroring tap; do kill -0 $tap; sleep 0.1; done\nkill $tap\nwait $tap")
			case strings.HasPrefix(line, "periscope send"):
				send = append(send, line)
			case strings.HasPrefix(line, "periscope sessions"): // in JSON, too, each is a line with a session's name
				ask = append(ask, "for try in {1..600}; do if "+line+" | grep -e vni-1 -e shop-22222222 >session; then break; fi; sleep 0.1; done\ntest -s session")
			default:
				other = append(other, line)
			}
		}
	}
	if len(run) < 2 || len(send) < 3 || len(ask) < 3 || len(other) < 7 {
		t.Errorf("examples %q, %q, %q, %q", run, send, ask, other)
	}
	script := serveHEC(t) + strings.Join(other, "\n") + "\n"
	for _, line := range run {
		script += line + " &\npid=$!\n" +
			"until curl -sf -o /dev/null http://127.0.0.1:9477/readyz; do kill -0 $pid; sleep 0.1; done\n" +
			strings.Join(append(send, ask...), "\n") + "\nkill -INT $pid\nwait $pid\n"
	}
	shell(t, dir, script)
	if n := records(readTree(t, filepath.Join(dir, "frames"))); n != m.frames {
		t.Errorf("%d frames replayed, want %d", n, m.frames)
	}
	for _, out := range []string{"captures", "shipped"} {
		files := readTree(t, filepath.Join(dir, out))
		once(t, sequences(t, files, "vni-1"), 0, 100)
		once(t, sequences(t, files, "vni-7"), 0, 30)
	}
}

// commands returns a command and all below it.
func commands(cmd *cobra.Command) []*cobra.Command {
	list := []*cobra.Command{cmd}
	for _, below := range cmd.Commands() {
		list = append(list, commands(below)...)
	}
	return list
}

func exampleLines(cmd *cobra.Command) (lines []string) {
	for line := range strings.Lines(cmd.Example) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}

// The commands of README.md do what it says, one after the other as written,
// and print the account it shows.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$")
	uses := regexp.MustCompile(`(?m)^periscope `)
	script, account := "", ""
	for _, m := range block.FindAllStringSubmatch(string(readme), -1) {
		switch {
		case m[1] == "sh" && uses.MatchString(m[2]):
			script += m[2]
		case m[1] == "text" && strings.Contains(m[2], "the ledger balances"):
			account = m[2]
		}
	}
	// What the test has done already; and the collector may take longer than a second to listen.
	script = strings.NewReplacer("make build\n", "", "export PATH=\"$PWD/bin:$PATH\"\n", "",
		"\nsleep 1\n", "\nuntil curl -sf -o /dev/null http://127.0.0.1:9477/readyz; do kill -0 $!; sleep 0.1; done\n").Replace(script)
	if strings.Count(script, "\nperiscope ")+1 < 8 || account == "" {
		t.Fatalf("commands:\n%s\naccount:\n%s", script, account)
	}
	dir := t.TempDir()
	out := shell(t, dir, script)
	if !strings.Contains(out, account) {
		t.Errorf("the account is not\n%s\nin\n%s", account, out)
	}
	once(t, sequences(t, readTree(t, filepath.Join(dir, "demo")), "vni-7"), 0, 1000)
	once(t, sequences(t, readTree(t, filepath.Join(dir, "again")), "vni-7"), 0, 1000)
	summary, err := os.ReadFile(filepath.Join(dir, "demo.json"))
	if err != nil {
		t.Fatal(err)
	}
	if l := readLedger(t, summary); l.Sinks["pcap"].Stored != 1000 {
		t.Errorf("%+v", l)
	}
}
