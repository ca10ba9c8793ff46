package judge

import (
	"bufio"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// backlog is how much of what softflowd sends is kept for nfcapd, which does not
// keep up with all flows at the end of a file: 1,000,000 of them are 130 MB in
// datagrams, which the kernel counts as up to twice that. Without root it is as
// much as the kernel allows.
const backlog = 512 << 20

// softflowd sends NetFlow version 9 over loopback, which nfcapd gets at the pace
// it can take, and writes into the files that nfdump reads. The test fails if
// nfcapd saw a gap in the sequence.
func softflowd(t testing.TB, path string, truth *Truth) Flows {
	t.Helper()
	need(t, "softflowd", "nfcapd", "nfdump")
	dir, scratch, port := t.TempDir(), t.TempDir(), freeUDPPort(t)
	exports := listen(t)
	nfcapd := exec.Command("nfcapd", "-l", dir, "-b", "127.0.0.1", "-p", strconv.Itoa(port), "-B", "67108864")
	nfcapd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	said, err := nfcapd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := nfcapd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nfcapd.Process.Kill() }) // it may have ended
	lines := bufio.NewReader(said)
	log := readUntil(t, lines, "Startup nfcapd")

	// With more flows than any file of a test has, none is cut short.
	output(t, "softflowd", "-d", "-r", path, "-m", "4000000", "-n", exports.LocalAddr().String(), "-v", "9",
		"-p", filepath.Join(scratch, "pid"), "-c", "none") // with a control socket it may wait for it for ever
	forward(t, exports, port)
	if err := nfcapd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(lines)
	if err != nil {
		t.Fatal(err)
	}
	log += string(rest)
	if err := nfcapd.Wait(); err != nil || !strings.Contains(log, "Sequence Errors: 0, Bad Packets: 0\n") {
		t.Fatalf("nfcapd lost records, or ended with an error: %v\n%s", err, log)
	}
	return nfdump(t, dir).move(truth.later6).Fold(truth.Split)
}

func listen(t testing.TB) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		if syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUFFORCE, backlog) != nil {
			c.SetReadBuffer(backlog)
		}
	})
	return c
}

// forward sends what waits in the socket to a port on loopback, and returns when
// all of it was read there. On loopback a datagram is there once it is sent.
func forward(t testing.TB, from *net.UDPConn, port int) {
	t.Helper()
	to, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	b := make([]byte, 65535)
	for source := from.LocalAddr().(*net.UDPAddr).Port; unread(t, source) > 0; {
		n, err := from.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := to.Write(b[:n]); err != nil {
			t.Fatal(err)
		}
		for unread(t, port) > 64<<10 {
			time.Sleep(time.Millisecond) // it says nothing when it has read
		}
	}
	for unread(t, port) > 0 {
		time.Sleep(time.Millisecond)
	}
}

// readUntil reads lines to the one that contains phrase.
func readUntil(t testing.TB, r *bufio.Reader, phrase string) (text string) {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		text += line
		if err != nil {
			t.Fatalf("%v before %q:\n%s", err, phrase, text)
		}
		if strings.Contains(line, phrase) {
			return text
		}
	}
}

func freeUDPPort(t testing.TB) int {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).Port
}

// unread returns how many bytes wait in the socket on a port: column 5 of
// /proc/net/udp is those to send and to receive.
func unread(t testing.TB, port int) uint64 {
	t.Helper()
	table, err := os.ReadFile("/proc/net/udp")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		columns := strings.Fields(line)
		if local := "0100007F:" + strings.ToUpper(strconv.FormatInt(int64(port), 16)); columns[1] != local {
			continue
		}
		_, waiting, _ := strings.Cut(columns[4], ":")
		n, err := strconv.ParseUint(waiting, 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	t.Fatalf("nothing listens on UDP port %d:\n%s", port, table)
	return 0
}
