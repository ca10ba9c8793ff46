package tap

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/internal/lab"
)

// BenchmarkSidecar measures the program beside a task that sends 200 Mbit/s by
// TCP in segments of 1,448 bytes, 17,300 a second. With offloads the tap sees
// frames of up to 64 KiB; without, and with such as are received, each by itself.
//
//	flock /tmp/measure.lock go test -pgo=off -run X -bench Sidecar -benchtime 1x -count 3 ./tap
//
// The collector's socket is there and not read. A veth has the other end's work
// done by who sends, the tap; a network card would not.
func BenchmarkSidecar(b *testing.B) {
	program := filepath.Join(b.TempDir(), "periscope")
	command(b, "go", "build", "-pgo=off", "-o", program, "../cmd/periscope")
	for _, offloads := range []string{"on", "off"} {
		for _, direction := range []string{"sent", "received"} {
			b.Run("offloads="+offloads+"/"+direction, func(b *testing.B) { benchSidecar(b, program, offloads, direction == "sent") })
		}
	}
}

func benchSidecar(b *testing.B, program, offloads string, sent bool) {
	w := newWire(b)
	w.segments(1460)
	for _, ns := range []string{w.task, w.peer} {
		w.shell(ns, "ethtool -K eth0 tso "+offloads+" gso "+offloads+" gro "+offloads+" >/dev/null")
	}
	w.in(w.peer, func() {
		c, err := net.ListenPacket("udp", netip.AddrPortFrom(peerAddr, 4789).String())
		if err != nil {
			b.Error(err)
			return
		}
		b.Cleanup(func() { c.Close() })
	})
	out, err := os.Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command("ip", "netns", "exec", w.task, program, "send", "--interface", "eth0", "--to", "10.77.0.1:4789",
		"--limit", "0", "--cpu", "0")
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	said := func() string { text, _ := os.ReadFile(out.Name()); return string(text) }
	b.Cleanup(func() { cmd.Process.Kill() })
	lab.Eventually(b, "it mirrors", func() bool { return strings.Contains(said(), "msg=mirroring") })

	const rate, warm, measured = 200e6 / 8, 2 * time.Second, 10 * time.Second
	stop := w.stream(rate, sent)
	time.Sleep(warm)
	for b.Loop() {
		began, used := time.Now(), processorOf(b, cmd.Process.Pid)
		time.Sleep(measured)
		used = processorOf(b, cmd.Process.Pid) - used
		b.ReportMetric(100*used.Seconds()/time.Since(began).Seconds(), "cpu-%")
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(status(b, cmd.Process.Pid, "VmHWM:")/1024, "rss-MiB")
	b.ReportMetric(status(b, cmd.Process.Pid, "RssAnon:")/1024, "anon-MiB")
	stop()
	if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
		b.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		b.Fatalf("%v: %s", err, said())
	}
	text := said()
	b.Log(strings.TrimSpace(text[strings.LastIndex(strings.TrimSpace(text), "\n")+1:]))
}

// stream sends so many bytes a second over TCP, from or to the task, until stop is
// called.
func (w *wire) stream(rate int, sent bool) (stop func()) {
	w.t.Helper()
	var l net.Listener
	var c net.Conn
	w.in(w.peer, func() { l, _ = net.Listen("tcp", "10.77.0.1:0") })
	w.in(w.task, func() { c, _ = net.Dial("tcp", l.Addr().String()) })
	far, err := l.Accept()
	if err != nil || c == nil {
		w.t.Fatal(err)
	}
	from, to := c, far
	if !sent {
		from, to = far, c
	}
	raw, _ := from.(*net.TCPConn).SyscallConn()
	raw.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MAX_PACING_RATE, rate) })
	go io.Copy(io.Discard, to)
	go func() {
		for b := make([]byte, 1<<20); err == nil; {
			_, err = from.Write(b)
		}
	}()
	return func() { c.Close(); far.Close(); l.Close() }
}

// processorOf returns the processor time of a process.
func processorOf(t testing.TB, pid int) (used time.Duration) {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(tasks) == 0 {
		t.Fatal("no such process", err)
	}
	for _, path := range tasks {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		ns, _ := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
		used += time.Duration(ns)
	}
	return used
}

// status returns a figure of /proc/PID/status, in KiB.
func status(t testing.TB, pid int, name string) float64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			n, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return n
		}
	}
	return 0
}
