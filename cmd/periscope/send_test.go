package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spf13/cobra"

	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/internal/command"
	"github.com/periscope-collector/periscope/tunnel"
)

// runSend runs `periscope send`.
func runSend(t *testing.T, stdin []byte, args ...string) (stdout string, err error) {
	t.Helper()
	cmd := newSendCommand()
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return command.Usage(err) })
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&bytes.Buffer{})
	cmd.SetIn(bytes.NewReader(stdin))
	cmd.SetArgs(args)
	err = cmd.ExecuteContext(t.Context())
	return out.String(), err
}

// receiver returns a socket on loopback.
func receiver(t *testing.T) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// arrived returns so many frames, or what comes within patience, and those that
// wait in the socket by then. It checks their VNI.
func arrived(t *testing.T, c *net.UDPConn, vni uint32, want int) (frames [][]byte) {
	t.Helper()
	b := make([]byte, 1<<16)
	for {
		wait := patience
		if len(frames) >= want {
			wait = time.Millisecond
		}
		if err := c.SetReadDeadline(time.Now().Add(wait)); err != nil {
			t.Fatal(err)
		}
		n, err := c.Read(b)
		if err != nil {
			return frames
		}
		v, frame, fault := tunnel.ParseVXLAN(b[:n])
		if fault != tunnel.OK || v.VNI != vni {
			t.Fatalf("fault %d, VNI %d", fault, v.VNI)
		}
		frames = append(frames, bytes.Clone(frame))
	}
}

// capturedFrames returns a capture file of n frames, and the frames.
func capturedFrames(n int, linkType uint32) (file []byte, frames [][]byte) {
	file = traffic.AppendPcapHeader(nil, linkType)
	g := traffic.NewFrames(traffic.FramesConfig{Seed: 9})
	for i := range n {
		frame := g.Append(nil)
		frames = append(frames, frame)
		file = traffic.AppendPcapRecord(file, int64(i), frame, len(frame))
	}
	return file, frames
}

func TestSendGenerates(t *testing.T) {
	c := receiver(t)
	out, err := runSend(t, nil, "--to", c.LocalAddr().String(), "--vni", "7", "--count", "20", "--rate", "0", "--size", "100", "--flows", "3")
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^sent 20 packets, 2000 bytes in \S+: \d+ pps\n$`).MatchString(out) {
		t.Errorf("printed %q", out)
	}
	frames := arrived(t, c, 7, 20)
	if len(frames) != 20 {
		t.Errorf("%d arrived", len(frames))
	}
	for i, frame := range frames {
		if len(frame) != 100 {
			t.Errorf("frame %d has %d bytes", i, len(frame))
		}
	}
}

func TestSendFile(t *testing.T) {
	file, want := capturedFrames(30, traffic.LinkEthernet)
	path := filepath.Join(t.TempDir(), "frames.pcap")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		args []string
		n    int
	}{
		{"by name", []string{path}, 30},
		{"standard input", []string{"-"}, 30},
		{"the first of it", []string{"--count", "7", path}, 7},
		{"no more than it holds", []string{"--count", "31", path}, 30},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := receiver(t)
			out, err := runSend(t, file, append(test.args, "--rate", "0", "--to", c.LocalAddr().String())...)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(out, fmt.Sprintf("sent %d packets,", test.n)) {
				t.Errorf("printed %q", out)
			}
			got := arrived(t, c, 1, test.n)
			if len(got) != test.n {
				t.Fatalf("%d arrived", len(got))
			}
			for i := range got {
				if !bytes.Equal(got[i], want[i]) {
					t.Errorf("frame %d differs", i)
				}
			}
		})
	}
}

func TestSendFileThatIsWrong(t *testing.T) {
	whole, _ := capturedFrames(3, traffic.LinkEthernet)
	wireless, _ := capturedFrames(3, 105)
	short := traffic.AppendPcapRecord(traffic.AppendPcapHeader(nil, 113), 0, []byte("short"), 5)
	for _, test := range []struct {
		name, stdin string
		sent        int
		want        string
	}{
		{"cut short", string(whole[:len(whole)-1]), 2, "offset"},
		{"not a capture", strings.Repeat("text\n", 20), 0, "no capture file header"},
		{"not Ethernet", string(wireless), 0, "link type 105"},
		{"without link header", string(short), 0, "-: packet 1: its link header is cut"},
		{"empty", "", 0, "no capture file header"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := receiver(t)
			out, err := runSend(t, []byte(test.stdin), "--rate", "0", "--to", c.LocalAddr().String(), "-")
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want one about %q", err, test.want)
			}
			if command.IsUsage(err) {
				t.Errorf("%v is a usage error", err)
			}
			if n := len(arrived(t, c, 1, test.sent)); n != test.sent || !strings.HasPrefix(out, fmt.Sprintf("sent %d packets,", n)) {
				t.Errorf("%d arrived, want %d; printed %q", n, test.sent, out)
			}
		})
	}
}

func TestSendUsage(t *testing.T) {
	for _, args := range [][]string{
		{"a.pcap", "b.pcap"},
		{"--size", "63"},
		{"--size", "9002"},
		{"--size", "big"},
		{"--flows", "0"},
		{"--flows", "1000001"},
		{"--vni", "16777216"},
		{"--rate", "-1"},
		{"--rate", "NaN"},
		{"--count", "-1"},
		{"--to", "127.0.0.1"},
		{"--to", ":4789"},
		{"--to", "127.0.0.1:0"},
		{"--to", "127.0.0.1:70000"},
		{"--size", "64", "a.pcap"},
		{"--flows", "5", "a.pcap"},
		{"--unknown"},
	} {
		out, err := runSend(t, nil, args...)
		if !command.IsUsage(err) || out != "" {
			t.Errorf("%v: error %v, printed %q", args, err, out)
		}
	}
}

// A name that no server answers for is an error within seconds.
func TestSendNameThatIsNotFound(t *testing.T) {
	before := net.DefaultResolver
	defer func() { net.DefaultResolver = before }()
	// What package net keeps for good is made outside the bubble.
	_, _ = (&net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, os.ErrDeadlineExceeded
	}}).LookupNetIP(t.Context(), "ip", "collector.periscope.test")
	synctest.Test(t, func(t *testing.T) {
		net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		began := time.Now()
		_, err := runSend(t, nil, "--to", "collector.periscope.test:4789", "--count", "1")
		if err == nil || command.IsUsage(err) || !strings.HasPrefix(err.Error(), "--to collector.periscope.test:4789: its address is not to be found: lookup ") {
			t.Error(err)
		}
		if took := time.Since(began); took > resolveIn {
			t.Errorf("after %s", took)
		}
	})
}

// nobody returns an address that nothing listens on, and that no socket gets by
// itself.
func nobody(t *testing.T) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.3:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().String()
}

func TestSendNothingListens(t *testing.T) {
	to := nobody(t)
	// A refusal may come a little later: the next one of the flow meets it.
	out, err := runSend(t, nil, "--to", to, "--count", "20", "--rate", "50", "--flows", "1")
	if err == nil || !strings.Contains(err.Error(), "nothing listens on "+to) || !strings.HasPrefix(out, "sent 20 packets") {
		t.Errorf("error %v, printed %q", err, out)
	}
}

func TestSendHostThatDoesNotExist(t *testing.T) {
	_, err := runSend(t, nil, "--to", "no such host:4789", "--count", "1")
	if err == nil || !strings.Contains(err.Error(), "no such host") {
		t.Errorf("error %v", err)
	}
}
