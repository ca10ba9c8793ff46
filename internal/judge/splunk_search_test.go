package judge_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/periscope-collector/periscope/internal/judge"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/record"
)

const addOn = "../../deploy/splunk/TA-periscope"

// TCP flags (RFC 9293).
const (
	syn  = 0x02
	rst  = 0x04
	push = 0x08
	ack  = 0x10
)

// A sent is a flow of an IPv4 or IPv6 client as it is sent to Splunk: as often as
// times says, each with an event_uid of its own unless uid is given.
type sent struct {
	src, dest string
	port      int
	flags     uint8
	in, out   uint64
	protocol  uint8            // 0 is TCP
	direction packet.Direction // unknown is egress
	uid       string
}

// A splunk collects the events of a test.
type splunk struct {
	t       *testing.T
	encoder *record.Events
	events  []map[string]any
}

func newSplunk(t *testing.T) *splunk {
	return &splunk{t: t, encoder: record.NewEvents(record.EventConfig{Host: "collector-1"})}
}

func (s *splunk) send(f sent) {
	s.t.Helper()
	if f.protocol == 0 {
		f.protocol = packet.ProtocolTCP
	}
	if f.direction == packet.DirectionUnknown {
		f.direction = packet.Egress
	}
	if f.uid == "" {
		f.uid = fmt.Sprintf("u-%x", len(s.events))
	}
	flow := &packet.Flow{
		Session:  &packet.Session{Name: "web", VNI: 7},
		Addr:     [2]packet.Addr{packet.AddrFrom(netip.MustParseAddr(f.src)), packet.AddrFrom(netip.MustParseAddr(f.dest))},
		Port:     [2]uint16{40000, uint16(f.port)},
		Protocol: f.protocol,
	}
	flow.Side[0] = packet.FlowSide{Packets: 1, Bytes: f.in, First: 1e18, Last: 1e18, Direction: f.direction, TCPFlags: f.flags}
	if f.out > 0 {
		flow.Side[1] = packet.FlowSide{Packets: 1, Bytes: f.out, First: 1e18, Last: 1e18, TCPFlags: ack}
	}
	s.events = append(s.events, judge.SplunkEvent(s.t, s.encoder.AppendFlow(nil, flow, []byte(f.uid))))
}

func (s *splunk) ledger(object, uid string) {
	s.t.Helper()
	s.events = append(s.events, judge.SplunkEvent(s.t, s.encoder.AppendLedger(nil, 1e18, []byte(object), []byte(uid))))
}

// names holds what a search names.
func (s *splunk) names(search string, known []string, want ...string) {
	s.t.Helper()
	got := judge.SplunkSearches(s.t, addOn, s.events, known...)["Periscope - "+search]
	if !slices.Equal(got, want) {
		s.t.Errorf("%s names %q, want %q", search, got, want)
	}
}

func TestSplunkPortScan(t *testing.T) {
	const threshold = 100
	probe := func(port int) sent {
		return sent{src: "10.0.0.9", dest: "10.0.0.1", port: port, flags: syn | ack | rst, in: 40, out: 40}
	}
	for _, test := range []struct {
		name   string
		n      int
		flow   func(i int) sent
		scans  bool
		inTwos bool // every event arrives twice
	}{
		{"ports of a host", threshold, probe, true, false},
		{"one port less", threshold - 1, probe, false, false},
		{"one port less, sent twice", threshold - 1, probe, false, true},
		{"hosts at a port", threshold, func(i int) sent {
			f := probe(22)
			f.dest = fmt.Sprintf("10.0.1.%d", i)
			return f
		}, true, false},
		{"no answer", threshold, func(i int) sent {
			f := probe(i)
			f.flags, f.out = syn, 0
			return f
		}, true, false},
		{"the same port again and again", 10 * threshold, func(int) sent { return probe(443) }, false, false},
		{"connections with data", threshold, func(i int) sent {
			f := probe(i)
			f.flags |= push
			return f
		}, false, false},
		{"replies, of which the SYN was not seen", threshold, func(i int) sent {
			f := probe(i)
			f.flags = ack
			return f
		}, false, false},
		{"UDP", threshold, func(i int) sent {
			f := probe(i)
			f.protocol = packet.ProtocolUDP
			return f
		}, false, false},
		{"many sources", threshold, func(i int) sent {
			f := probe(i)
			f.src = fmt.Sprintf("10.0.2.%d", i)
			return f
		}, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSplunk(t)
			for i := range test.n {
				s.send(test.flow(i + 1))
			}
			if test.inTwos {
				s.events = append(s.events, s.events...)
			}
			if test.scans {
				s.names("Port scan", nil, "10.0.0.9")
			} else {
				s.names("Port scan", nil)
			}
		})
	}
}

func TestSplunkNewDestination(t *testing.T) {
	s := newSplunk(t)
	for _, dest := range []string{
		"10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.127.255.255", "127.0.0.1",
		"169.254.169.254", "224.0.0.251", "239.255.255.250", "255.255.255.255", "::1", "fd00::1", "fe80::1", "ff02::fb",
	} {
		s.send(sent{src: "10.0.0.9", dest: dest, port: 443, in: 40})
	}
	s.send(sent{src: "198.51.100.1", dest: "203.0.113.80", port: 443, in: 40, direction: packet.Ingress})
	s.names("New external destination", nil)

	for _, dest := range []string{
		"9.255.255.255", "11.0.0.0", "172.15.255.255", "172.32.0.0", "100.63.255.255", "100.128.0.0", "2001:db8::1",
	} {
		s.send(sent{src: "10.0.0.9", dest: dest, port: 443, in: 40})
		s.send(sent{src: "10.0.0.8", dest: dest, port: 443, in: 40})
	}
	s.names("New external destination", []string{"11.0.0.0"},
		"100.128.0.0", "100.63.255.255", "172.15.255.255", "172.32.0.0", "2001:db8::1", "9.255.255.255")
}

func TestSplunkLargeTransfer(t *testing.T) {
	const threshold = 500_000_000
	for _, test := range []struct {
		name  string
		flows []sent
		large bool
	}{
		{"one flow", []sent{{in: threshold}}, true},
		{"a byte less", []sent{{in: threshold - 1}}, false},
		{"two flows", []sent{{in: threshold / 2}, {in: threshold / 2, port: 22}}, true},
		{"one flow, sent twice", []sent{{in: threshold / 2, uid: "a"}, {in: threshold / 2, uid: "a"}}, false},
		{"a download", []sent{{in: 1000, out: 10 * threshold}}, false},
		{"to the inside", []sent{{in: 10 * threshold, dest: "10.1.1.1"}}, false},
		{"to two destinations", []sent{{in: threshold / 2}, {in: threshold / 2, dest: "203.0.113.2"}}, false},
		{"an upload to the mirrored host", []sent{{in: 10 * threshold, direction: packet.Ingress}}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSplunk(t)
			for _, f := range test.flows {
				f.src = "10.0.0.9"
				if f.dest == "" {
					f.dest = "203.0.113.1"
				}
				s.send(f)
			}
			if test.large {
				s.names("Large outbound transfer", nil, "10.0.0.9 203.0.113.1")
			} else {
				s.names("Large outbound transfer", nil)
			}
		})
	}
}

func TestSplunkLosingPackets(t *testing.T) {
	for _, test := range []struct {
		name   string
		object string
		loses  bool
	}{
		{"nothing lost", `{"interval":{"lost_packets":0,"sink_dropped":0}}`, false},
		{"one packet", `{"interval":{"lost_packets":1,"sink_dropped":0}}`, true},
		{"one record", `{"interval":{"lost_packets":0,"sink_dropped":1}}`, true},
		{"lost before", `{"lost_packets":9,"sink_dropped":9,"interval":{"lost_packets":0,"sink_dropped":0}}`, false},
		{"not delivered", `{"interval":{"not_delivered_packets":9,"lost_packets":0,"sink_dropped":0}}`, false},
		{"no object", `"starting"`, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSplunk(t)
			s.ledger(test.object, "u-1")
			if test.loses {
				s.names("Collector losing packets", nil, "collector-1")
			} else {
				s.names("Collector losing packets", nil)
			}
		})
	}
}

// TestSplunkLedger: the pipeline's own events have what the search asks for.
func TestSplunkLedger(t *testing.T) {
	golden, err := os.ReadFile("../pipeline/testdata/ledger_event.json")
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(golden), []byte("\n"))
	for i, want := range [][]string{{"collector-1"}, {"collector-1"}, nil} {
		s := newSplunk(t)
		s.ledger(string(lines[i]), "u-1")
		s.names("Collector losing packets", nil, want...)
	}
}

// TestSplunkOrdinary: what usual hosts do meets no search but that of what is new.
func TestSplunkOrdinary(t *testing.T) {
	s := newSplunk(t)
	for i := range 1000 {
		client := fmt.Sprintf("10.0.%d.%d", i/250, i%250+1)
		s.send(sent{src: client, dest: "10.0.9.9", port: 443, flags: syn | ack | push, in: 2000, out: 90_000, direction: packet.Ingress})
		s.send(sent{src: "10.0.9.9", dest: "10.0.0.2", port: 53, protocol: packet.ProtocolUDP, in: 70, out: 200})
		s.send(sent{src: "10.0.9.9", dest: "203.0.113.1", port: 443, flags: syn | ack | push, in: 3000, out: 5000})
	}
	if got := judge.SplunkSearches(t, addOn, s.events, "203.0.113.1"); len(got) != 0 {
		t.Errorf("%v", got)
	}
}
