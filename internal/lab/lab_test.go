package lab_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/periscope-collector/periscope/internal/lab"
	"github.com/periscope-collector/periscope/tunnel"
)

// TestLab holds the laboratory itself to what tests build on: every frame of a
// mirrored interface reaches the collector, whole and in order, in datagrams
// like AWS's. It says whether a failure elsewhere is the lab's.
func TestLab(t *testing.T) {
	l := lab.New(t)
	startServers(t, l)
	wire := filepath.Join(t.TempDir(), "u0.pcap")
	stop := l.Collector.Tcpdump("u0", wire)
	sight := watch(t, l)
	l.Connect()
	talk(t, l)
	sight.settle()
	var inner map[uint32][]frame
	lab.Eventually(t, "tcpdump at the collector has seen every datagram", func() bool {
		inner = openVXLAN(t, readFrames(t, wire))
		return len(inner[l.Mirrors[0].VNI]) == sight.sent[0] && len(inner[l.Mirrors[1].VNI]) == sight.sent[1]
	})
	stop()
	for i, m := range l.Mirrors {
		compare(t, m.Interface, inner[m.VNI], sight.frames(i))
	}
}

// openVXLAN takes the outer headers off, holds them against AWS's, and returns
// the frames inside by VNI.
func openVXLAN(t *testing.T, datagrams []frame) map[uint32][]frame {
	t.Helper()
	inner := make(map[uint32][]frame)
	for _, d := range datagrams {
		p := gopacket.NewPacket(d.data, layers.LayerTypeEthernet, gopacket.NoCopy)
		vxlan, ok := p.Layer(layers.LayerTypeVXLAN).(*layers.VXLAN)
		if !ok {
			continue // the underlay's own
		}
		udp := p.Layer(layers.LayerTypeUDP).(*layers.UDP)
		if udp.SrcPort < 65408 || udp.DstPort != tunnel.VXLANPort || udp.Checksum != 0 {
			t.Fatalf("datagram from port %d to %d, checksum %#x", udp.SrcPort, udp.DstPort, udp.Checksum)
		}
		data := vxlan.LayerPayload()
		inner[vxlan.VNI] = append(inner[vxlan.VNI], frame{d.time, len(data), data})
	}
	return inner
}

// TestLabLeavesNothing says that a lab's namespaces and programs end with its
// test, and that the next lab removes those of a test that was killed.
func TestLabLeavesNothing(t *testing.T) {
	lab.Need(t, "ip", "sleep")
	killed := exec.Command("sleep", "600")
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	end := sync.OnceFunc(func() { killed.Process.Kill(); killed.Wait() })
	defer end()
	stale := fmt.Sprintf("periscope-lab-%d-0000-host", killed.Process.Pid)
	if err := exec.Command("ip", "netns", "add", stale).Run(); err != nil {
		t.Fatal(err)
	}
	orphan := exec.Command("ip", "netns", "exec", stale, "sleep", "600")
	if err := orphan.Start(); err != nil {
		t.Fatal(err)
	}
	// What is not in the namespace yet when the lab removes it is not found there.
	lab.Eventually(t, "the program has entered its namespace", func() bool {
		pids, err := exec.Command("ip", "netns", "pids", stale).Output()
		if err != nil {
			t.Fatal(err)
		}
		return len(pids) > 0
	})
	end() // labs of other tests remove it from now on, too
	t.Run("lab", func(t *testing.T) {
		l := lab.New(t)
		l.Host.Start("", "sleep", "600")
		if got := namespaces(t, stale); len(got) != 0 {
			t.Errorf("still there: %q", got)
		}
		if got := namespaces(t, fmt.Sprintf("periscope-lab-%d-", os.Getpid())); len(got) != 3 {
			t.Errorf("the lab is %q, want 3 namespaces", got)
		}
	})
	if err := orphan.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Errorf("program left behind by a killed test: %v, want it killed", err)
	}
	if got := namespaces(t, fmt.Sprintf("periscope-lab-%d-", os.Getpid())); len(got) != 0 {
		t.Errorf("left behind: %q", got)
	}
}

// namespaces returns the names of namespaces that begin with prefix.
func namespaces(t *testing.T, prefix string) (names []string) {
	t.Helper()
	out, err := exec.Command("ip", "netns", "list").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, prefix) {
			names = append(names, strings.TrimSpace(line))
		}
	}
	return names
}
