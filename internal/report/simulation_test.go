package report_test

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/periscope-collector/periscope/filter"
	"github.com/periscope-collector/periscope/internal/report"
	"github.com/periscope-collector/periscope/packet"
)

const (
	goldenSimulation = "testdata/simulation.txt"

	filters = `
filters:
  - name: rest
    rules:
      - {number: 5, action: accept, direction: egress, protocol: udp, source: 0.0.0.0/0, destination: 0.0.0.0/0}
  - name: web
    description: "HTTPS\e[2J"
    network_services: [amazon-dns]
    rules:
      - {number: 20, action: accept, direction: ingress, protocol: tcp, source: 0.0.0.0/0, destination: 10.0.0.0/16, destination_ports: 443}
      - {number: 10, action: reject, direction: ingress, source: 10.0.0.0/8, destination: 0.0.0.0/0, description: internal}
      - {number: 10, action: accept, direction: egress, protocol: tcp, source: 10.0.0.0/16, destination: 0.0.0.0/0, source_ports: 443}
      - {number: 30, action: accept, direction: ingress, source: "::/0", destination: "::/0"}
sessions:
  - {number: 9, filter: rest}
  - {number: 2, filter: web}
`
)

// shop was unknown at first.
var shop = func() *packet.Session {
	unknown, known := &packet.Session{ID: 5, Name: "vni-9"}, &packet.Session{ID: 6, Name: "shop-1", Workload: packet.Workload{Service: "shop"}}
	unknown.Become(known)
	return unknown
}()

// seen returns n frames between two addresses and ports.
func seen(n int, s *packet.Session, d packet.Direction, protocol uint8, from, to string) (list []*packet.Frame) {
	src, dst := netip.MustParseAddrPort(from), netip.MustParseAddrPort(to)
	for i := range n {
		list = append(list, &packet.Frame{
			Session: s, Direction: d, Length: 100 + i, Time: 1767225600e9 + int64(i)*1e6,
			Header: packet.Header{
				Version: 4, Network: 14, Transport: 34, Protocol: protocol,
				Src: packet.AddrFrom(src.Addr()), Dst: packet.AddrFrom(dst.Addr()), SrcPort: src.Port(), DstPort: dst.Port(),
			},
		})
	}
	return list
}

func simulated(t *testing.T, workers int, file string, frames []*packet.Frame) string {
	t.Helper()
	f, err := filter.Parse("filters.yaml", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	s, err := report.NewSimulation("filters.yaml", f, workers)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(frames); i += workers {
				s.See(w, frames[i])
			}
		})
	}
	wg.Wait()
	var b strings.Builder
	if err := s.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestSimulation(t *testing.T) {
	var frames []*packet.Frame
	for _, list := range [][]*packet.Frame{
		seen(40, web, packet.Ingress, packet.ProtocolTCP, "203.0.113.9:50000", "10.0.1.163:443"), // web, by rule 20
		seen(30, web, packet.Egress, packet.ProtocolTCP, "10.0.1.163:443", "203.0.113.9:50000"),  // web, by rule 10
		seen(7, web, packet.Ingress, packet.ProtocolTCP, "10.0.2.9:50000", "10.0.1.163:443"),     // rejected by rule 10, then by none of rest
		seen(6, web, packet.Egress, packet.ProtocolUDP, "10.0.1.163:40000", "10.0.0.2:53"),       // web, Amazon DNS
		seen(5, shop, packet.Egress, packet.ProtocolUDP, "10.9.1.163:40000", "10.9.0.2:53"),      // rest, the resolver is not known
		seen(4, shop.Identified(), packet.DirectionUnknown, packet.ProtocolUDP, "10.9.1.163:40000", "8.8.8.8:123"),
		seen(1, vni8, packet.Ingress, packet.ProtocolUDP, "8.8.8.8:123", "10.9.1.163:40000"), // none
		seen(1, vni8, packet.Egress, packet.ProtocolUDP, "169.254.169.253:53", "10.9.1.163:40000"),
	} {
		frames = append(frames, list...)
	}
	if *update {
		if err := os.WriteFile(goldenSimulation, []byte(simulated(t, 1, filters, frames)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(goldenSimulation)
	if err != nil {
		t.Fatal(err)
	}
	for _, workers := range []int{1, 2, 8} {
		if got := simulated(t, workers, filters, frames); got != string(want) {
			t.Errorf("%d workers:\n%s\nwant\n%s", workers, got, want)
		}
	}
}

// TestSimulationSessions: those that would save most are listed.
func TestSimulationSessions(t *testing.T) {
	var frames []*packet.Frame
	for i := range 25 {
		s := &packet.Session{ID: uint32(i + 10), Name: fmt.Sprintf("s%02d", i), Workload: web.Workload}
		frames = append(frames, seen(i+1, s, packet.Ingress, packet.ProtocolUDP, "8.8.8.8:123", "10.0.1.163:123")...)
	}
	got := simulated(t, 1, filters, frames)
	for want, is := range map[string]bool{"\ns24 ": true, "\ns05 ": true, "\ns04 ": false, "\nand 5 more sessions\n": true, "vpc_cidrs": false, "unknown direction": false} {
		if strings.Contains(got, want) != is {
			t.Errorf("%q is there: %v\n%s", want, !is, got)
		}
	}
}

func TestSimulationOfNothing(t *testing.T) {
	if got := simulated(t, 1, filters, nil); strings.Contains(got, "NaN") || strings.Contains(got, "By session") {
		t.Error(got)
	}
	if _, err := report.NewSimulation("none", &filter.File{}, 1); err == nil {
		t.Error("no filter can be simulated")
	}
	if _, err := report.NewSimulation("bad", &filter.File{Filters: []filter.Filter{{Rules: []filter.Rule{{}}}}}, 1); err == nil {
		t.Error("a filter that does not compile can be simulated")
	}
}

// TestSimulationAllocations: a frame of a session that was seen takes none.
func TestSimulationAllocations(t *testing.T) {
	f, err := filter.Parse("filters.yaml", []byte(filters))
	if err != nil {
		t.Fatal(err)
	}
	s, err := report.NewSimulation("filters.yaml", f, 1)
	if err != nil {
		t.Fatal(err)
	}
	frames := append(seen(1, web, packet.Ingress, packet.ProtocolTCP, "1.1.1.1:1", "10.0.1.163:443"), seen(1, vni8, packet.Egress, packet.ProtocolTCP, "1.1.1.1:1", "2.2.2.2:443")...)
	if n := testing.AllocsPerRun(100, func() {
		for _, f := range frames {
			s.See(0, f)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
