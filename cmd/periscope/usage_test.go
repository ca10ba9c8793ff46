package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What is wrong is said in one line on standard error, with what to do, and
// the exit status tells bad usage and configuration from other failures.
func TestUsage(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string { return writeFile(t, filepath.Join(dir, name), []byte(text)) }
	m := newMirror(2)
	capture := file("mirror.pcap", string(m.file))
	badKey := file("key.yaml", "capture:\n  wrokers: 2\n")
	badValue := file("value.yaml", "capture: {workers: 257}\ndrain: 5\n")
	badSessions := file("sessions.yaml", "sessions:\n  - {name: a, vni: 16777216}\n")
	configured := file("sessions-of.yaml", "sessions: {file: sessions.yaml}\n")
	noSessions := file("no-sessions.yaml", "sessions: {file: nowhere.yaml}\n")
	for _, test := range []struct {
		args string
		code int
		want string // all of standard error, after the program's name
	}{
		{"nonsense", 2, `unknown command "nonsense"; periscope --help lists what exists`},
		{"--nonsense", 2, `unknown flag: --nonsense; periscope --help lists the flags`},
		{"run --nonsense", 2, `unknown flag: --nonsense; periscope run --help lists the flags`},
		{"run -x", 2, `unknown shorthand flag: 'x' in -x; periscope run --help lists the flags`},
		{"run --config", 2, `flag needs an argument: --config; periscope run --help lists the flags`},
		{"run extra", 2, `periscope run takes no arguments, got "extra"`},
		{"check extra", 2, `periscope check takes no arguments, got "extra"`},
		{"spool nonsense", 2, `unknown command "nonsense"; periscope spool --help lists what exists`},
		{"spool list", 2, `which spool? name its directory with --dir, or the configuration with --config`},
		{"spool list extra", 2, `periscope spool list takes no arguments, got "extra"`},
		{"spool list --dir nowhere", 1, `spool: stat nowhere: no such file or directory; it is made when periscope runs with sinks.splunk`},
		{"spool list --dir " + capture, 1, `spool: ` + capture + ` is not a directory`},
		{"spool show --config " + configured, 2, `sinks.splunk: not in the configuration; name a file that has it with --config`},
		{"spool show --n -1", 2, `--n -1: want 0 or more`},
		{"spool resend --dir nowhere", 2, `resend needs the endpoints of a configuration; name it with --config`},
		{"sessions extra", 2, `periscope sessions takes no arguments, got "extra"`},
		{"sessions --at 2026-11-20", 2, `--at is for a journal: name one with --journal`},
		{"sessions --address 10.0.3.7", 2, `--address is for a journal: name one with --journal`},
		{"sessions --journal x --all", 2, `--all is for a running collector: leave it out with --journal`},
		{"sessions --journal x --config y", 2, `--config is for a running collector: leave it out with --journal`},
		{"sessions --journal x --at noon", 2, `--at "noon": want a time such as 2026-11-20T14:05:00Z or "2026-11-20 14:05", which is UTC`},
		{"sessions --journal x --address web", 2, `--address "web": want an address such as 10.0.3.7`},
		{"sessions --journal nowhere", 1, `session journal: stat nowhere: no such file or directory`},
		{"sessions --config nowhere.yaml", 2, `open nowhere.yaml: no such file or directory`},
		{"sessions --admin ftp://x", 2, `--admin: want a URL such as http://127.0.0.1:9477`},
		{"version extra", 2, `periscope version takes no arguments, got "extra"`},

		{"check --config nowhere.yaml", 2, `open nowhere.yaml: no such file or directory`},
		{"run --config nowhere.yaml", 2, `open nowhere.yaml: no such file or directory`},
		{"replay --config nowhere.yaml x", 2, `open nowhere.yaml: no such file or directory`},
		{"check --config " + badKey, 2, badKey + `:2:3: capture.wrokers: unknown key; known here: allow, backend, geneve, interface, listen, receive_buffer, ring, workers`},
		{"check --config " + badValue, 2, badValue + `:2:8: drain: 5 has no unit; write it as in 30s, 5m or 72h`},
		{"run --config " + badKey, 2, badKey + `:2:3: capture.wrokers: unknown key; known here: allow, backend, geneve, interface, listen, receive_buffer, ring, workers`},
		{"check --config " + configured, 2, badSessions + `:2:20: sessions[0].vni: must be 0 to 16777215, not 16777216`},
		{"run --config " + configured, 2, badSessions + `:2:20: sessions[0].vni: must be 0 to 16777215, not 16777216`},
		{"replay --sessions " + badSessions + " " + capture, 2, badSessions + `:2:20: sessions[0].vni: must be 0 to 16777215, not 16777216`},
		{"check --config " + noSessions, 2, `session file: stat ` + filepath.Join(dir, "nowhere.yaml") + `: no such file or directory`},
		{"replay --sessions nowhere.yaml " + capture, 2, `session file: stat nowhere.yaml: no such file or directory`},

		{"run --listen 4789", 2, `capture.listen[0]: must be an address and port such as ":4789", "127.0.0.1:4789" or "[::1]:4789", not "4789"`},
		{"run --listen localhost:4789", 2, `capture.listen[0]: must be an address and port such as ":4789", "127.0.0.1:4789" or "[::1]:4789", not "localhost:4789"`},
		{"run --workers -1", 2, `capture.workers: must be 0 to 256, not -1`},
		{"run --backend pcap", 2, `capture.backend: must be auto, udp, afpacket or xdp, not "pcap"`},
		{"run --backend afpacket --interface absent0 --out " + t.TempDir(), 2, `capture.interface: "absent0": no such network interface; see "ip link"`},
		{"run --backend udp --interface absent0 --out " + t.TempDir(), 2, `capture.interface: "absent0": no such network interface; see "ip link"`},
		{"run --backend afpacket --listen 127.0.0.1:4789", 2, `capture.listen[0]: "127.0.0.1:4789" is a single address, and capture.backend afpacket takes a port whatever the address; write one such as ":4789", or use auto or udp`},
		{"run --out=", 2, `sinks.pcap.dir: empty; name a directory, or remove sinks.pcap to keep no captures`},

		{"run --summary /dev/null/no.json", 2, `--summary: open /dev/null/no.json: not a directory`},
		{"replay --summary /dev/null/no.json " + capture, 2, `--summary: open /dev/null/no.json: not a directory`},

		{"replay", 2, `replay needs a capture file, or - for standard input`},
		{"replay --out a --flows a/b x", 2, `sinks.flowlog.dir: a/b is inside sinks.pcap.dir a; name a directory outside it`},
		{"replay --workers 257 x", 2, `capture.workers: must be 0 to 256, not 257`},
		{"replay --pace 3 x", 2, `--pace "3": want max, real, or a factor such as 2x`},
		{"replay --pace 0x x", 2, `--pace "0x": want max, real, or a factor such as 2x`},
		{"replay --pace NaNx x", 2, `--pace "NaNx": want max, real, or a factor such as 2x`},
		{"replay --bare-vni 16777216 x", 2, `--bare-vni 16777216: want 0 to 16777215`},
		{"replay --bare-vni -1 x", 2, `--bare-vni -1: want 0 to 16777215`},
		{"replay " + dir, 1, `read ` + dir + `: is a directory; name the capture files in it`},
		{"replay - -", 1, `standard input ("-") can be read only once`},
		{"replay nowhere.pcap", 1, `stat nowhere.pcap: no such file or directory`},
		{"replay --out /dev/null/out " + capture, 1, `pcap: make the directory: mkdir /dev/null/out: not a directory`},

		{"send a b", 2, `send takes one file, not 2`},
		{"send --size 63", 2, `--size: frame size "63": want imix, or bytes from 64 to 9001`},
		{"send --flows 0", 2, `--flows 0: want 1 or more`},
		{"send --vni 16777216", 2, `vni 16777216: want 0 to 16777215`},
		{"send --to 127.0.0.1", 2, `--to "127.0.0.1": want HOST:PORT, such as 127.0.0.1:4789`},
		{"send --size 64 " + capture, 2, `--flows and --size are for generated frames: leave them out with a file`},
		{"send --interface=", 2, `--interface: empty; name one, or default`},
		{"send --interface eth0", 2, `--interface needs the collector: name it with --to HOST:PORT`},
		{"send --limit 1Mbit/s", 2, `--limit goes with --interface: name one`},
		{"send --filter x", 2, `--filter goes with --interface: name one`},
		{"send --interface eth0 --to 127.0.0.1:1 --rate 5", 2, `--rate is for frames that are generated or in a file: leave it out with --interface`},
		{"send --interface eth0 --to 127.0.0.1:1 x.pcap", 2, `--interface mirrors an interface: leave out "x.pcap"`},
		{"send --interface eth0 --to 127.0.0.1:1 --filter-name x", 2, `--filter-name is of a file: name it with --filter`},
		{"send --interface eth0 --to 127.0.0.1:1 --filter nowhere.yaml", 2, `filter file: stat nowhere.yaml: no such file or directory`},
		{"send --interface eth0 --to 127.0.0.1:1 --limit 200", 2, `--limit "200": want a rate such as 200Mbit/s, or 0 for no limit`},
		{"send --interface eth0 --to 127.0.0.1:1 --limit -1Mbit/s", 2, `--limit "-1Mbit/s": want a rate such as 200Mbit/s, or 0 for no limit`},
		{"send --interface eth0 --to 127.0.0.1:1 --cpu 5", 2, `--cpu "5": want a share of a core such as 5%, at most 100%, or 0 for no limit`},
		{"send --interface eth0 --to 127.0.0.1:1 --cpu NaN%", 2, `--cpu "NaN%": want a share of a core such as 5%, at most 100%, or 0 for no limit`},
		{"send --interface lo --to 127.0.0.1:1 --packet-length -1", 2, `--packet-length -1: want 35 to 9001, or 0 for whole frames`},
		{"send --interface lo --to 127.0.0.1:1", 2, `--to 127.0.0.1:1: that is this task or host itself: name the collector's address`},
		{"send --interface absent0 --to 198.18.77.2:1", 2, `--interface: interface "absent0": no such network interface; see "ip link"`},
		{"send nowhere.pcap", 1, `stat nowhere.pcap: no such file or directory`},
	} {
		t.Run(test.args, func(t *testing.T) {
			t.Parallel()
			r := runProgram(t, strings.Fields(test.args)...)
			if r.code != test.code || r.stdout != "" {
				t.Errorf("exit status %d, want %d; standard output %q", r.code, test.code, r.stdout)
			}
			if want := "periscope: " + test.want + "\n"; r.stderr != want {
				t.Errorf("standard error\n%swant\n%s", r.stderr, want)
			}
		})
	}
}

func TestSendNobodyListens(t *testing.T) {
	to := nobody(t)
	r := runProgram(t, "send", "--to", to, "--count", "20", "--rate", "50", "--flows", "1")
	want := regexp.MustCompile(fmt.Sprintf(`^periscope: nothing listens on %s: it refused at least \d+ datagrams\n$`, to))
	if r.code != exitFailure || !strings.HasPrefix(r.stdout, "sent 20 packets, ") || !want.MatchString(r.stderr) {
		t.Errorf("%+v", r)
	}
}

func TestVersion(t *testing.T) {
	if r := runProgram(t, "version"); r.code != exitOK || r.stdout != "periscope devel\n" || r.stderr != "" {
		t.Errorf("%+v", r)
	}
}
