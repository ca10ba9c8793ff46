package main

import (
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/bench/traffic"
)

// A terminal is a pseudo terminal whose other end a process writes to.
type terminal struct {
	file  *os.File // the process's end
	wrote transcript
	done  chan struct{}
}

func openTerminal(t *testing.T) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		unavailable(t, "needs pseudo terminals: mount devpts on /dev/pts; "+err.Error())
	}
	t.Cleanup(func() { master.Close() })
	raw, err := master.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var number int
	var failed error
	if err := raw.Control(func(fd uintptr) {
		if failed = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); failed == nil {
			number, failed = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	}); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	tty := &terminal{done: make(chan struct{})}
	if tty.file, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(tty.done)
		_, _ = io.Copy(&tty.wrote, master) // ends with EIO, when the other end is closed
	}()
	return tty
}

// On a terminal replay shows how far it is, on one line that it erases at the
// end.
func TestReplayProgress(t *testing.T) {
	t.Parallel()
	m := newMirror(1000) // 8 s, at this pace
	path := writeFile(t, filepath.Join(t.TempDir(), "mirror.pcap"), m.file)
	for _, test := range []struct {
		name string
		args []string
		line string
	}{
		{"file", []string{"--pace", "0.25x", path},
			`\r\x1b\[K[0-9.]+ KiB of 4[0-9]{2} KiB \([0-9]+ %\), [0-9]+ packets/s, [0-9]+s left`},
		{"standard input", []string{"--pace", "0.25x", "-"},
			`\r\x1b\[K[0-9.]+ KiB, [0-9]+ packets/s(\r|$)`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			tty := openTerminal(t)
			p := newProcess(t, append([]string{"replay"}, test.args...)...)
			input, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer input.Close()
			p.cmd.Stdin, p.cmd.Stderr = input, tty.file
			code := p.start().wait()
			tty.file.Close()
			<-tty.done
			text := tty.wrote.String()
			if code != 0 {
				t.Fatalf("exit status %d: %q", code, text)
			}
			if lines := regexp.MustCompile(test.line).FindAllString(text, -1); len(lines) < 2 {
				t.Errorf("%d lines of progress in %q", len(lines), text)
			}
			if rest := text[strings.LastIndex(text, "\r"):]; rest != "\r\x1b[K" {
				t.Errorf("%q is left on the terminal", rest)
			}
		})
	}
	t.Run("piped", func(t *testing.T) {
		t.Parallel()
		r := runProgram(t, "replay", "--pace", "real", path)
		if r.code != 0 || strings.Contains(r.stderr, "packets/s") || strings.ContainsAny(r.stderr, "\r\x1b") {
			t.Errorf("%+v", r)
		}
	})
}

// A line of the log does not run into the progress.
func TestReplayProgressAndLog(t *testing.T) {
	t.Parallel()
	m := newMirror(1000)
	frame := traffic.NewFrames(traffic.FramesConfig{}).Next()
	to := netip.MustParseAddrPort("10.0.9.9:4789")
	late := traffic.AppendOuter(nil, netip.MustParseAddrPort("10.0.1.23:65500"), to, vxlan(4711, frame))
	m.file = traffic.AppendPcapRecord(m.file, m.times[999].Add(mirrorStep).UnixNano(), late, len(late))
	tty := openTerminal(t)
	p := newProcess(t, "replay", "--pace", "0.25x", writeFile(t, filepath.Join(t.TempDir(), "mirror.pcap"), m.file))
	p.cmd.Stderr = tty.file
	code := p.start().wait()
	tty.file.Close()
	<-tty.done
	if text := tty.wrote.String(); code != 0 || !regexp.MustCompile(`\r\x1b\[Ktime=\S+ level=INFO [^\r]* vni=4711 [^\r]*\r\n`).MatchString(text) {
		t.Errorf("exit status %d: %q", code, text)
	}
}
