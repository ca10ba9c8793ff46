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

// softflowd sends NetFlow version 9 to nfcapd over loopback, which writes the
// files that nfdump reads. The test fails if nfcapd saw a gap in the sequence.
func softflowd(t testing.TB, path string, truth *Truth) Flows {
	t.Helper()
	need(t, "softflowd", "nfcapd", "nfdump")
	dir, scratch, port := t.TempDir(), t.TempDir(), freeUDPPort(t)
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
	output(t, "softflowd", "-d", "-r", path, "-m", "4000000", "-n", "127.0.0.1:"+strconv.Itoa(port), "-v", "9",
		"-p", filepath.Join(scratch, "pid"), "-c", "none") // with a control socket it may wait for it for ever
	for unread(t, port) > 0 {
		time.Sleep(10 * time.Millisecond) // it says nothing when it has read
	}
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
