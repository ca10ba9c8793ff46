package traffic

import (
	"testing"

	"github.com/periscope-collector/periscope/packet"
)

func TestSourcePortIsOfTheFlow(t *testing.T) {
	g := NewFrames(FramesConfig{Flows: 1000, Burst: 2})
	ports := make(map[uint16]int)
	for range 1000 {
		request := SourcePort(g.Next())
		if response := SourcePort(g.Next()); request != response {
			t.Fatalf("request from port %d, response from port %d", request, response)
		}
		ports[request]++
	}
	for port, n := range ports {
		if port < 65408 {
			t.Errorf("port %d", port)
		}
		if n > 32 { // 8 is the mean
			t.Errorf("%d of 1000 flows have port %d", n, port)
		}
	}
	if len(ports) < 120 {
		t.Errorf("%d ports of 128 for 1000 flows", len(ports))
	}
}

func TestSourcePortOfFragments(t *testing.T) {
	g := NewStacks(1)
	for range g.Cycle() {
		first := SourcePort(g.Next())
		if !g.current.network.split {
			continue
		}
		for range 2 {
			if port := SourcePort(g.Next()); port != first {
				t.Fatalf("%s: port %d, that of the first fragment is %d", g.Name(), port, first)
			}
		}
	}
}

func FuzzSourcePort(f *testing.F) {
	g := NewStacks(1)
	for range g.Cycle() {
		f.Add(append([]byte(nil), g.Next()...))
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, frame []byte) {
		if port := SourcePort(frame); port < firstPort {
			t.Errorf("port %d", port)
		}
		if _, ok := Sequence(frame); ok && len(frame) < packet.EthernetLen+ipv4Len+udpLen+sequenceLen {
			t.Error("a sequence number in a frame too short for it")
		}
	})
}
