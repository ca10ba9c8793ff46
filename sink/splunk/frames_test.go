package splunk

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink/splunk/hec/hectest"
)

// frame returns a TCP segment of 60 bytes with 6 bytes of payload, whose source
// port is its number.
func frame(n int) *packet.Frame {
	return &packet.Frame{
		Data: append(make([]byte, 54), "secret"...), Length: 60,
		Time: time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC).UnixNano(), Session: session, Direction: packet.Egress,
		Header: packet.Header{
			Src: packet.AddrFrom4([4]byte{10, 0, 0, 1}), Dst: packet.AddrFrom4([4]byte{192, 0, 2, 7}),
			SrcPort: uint16(n), DstPort: 443, EtherType: 0x0800, Version: 4, Protocol: packet.ProtocolTCP,
			Network: 14, Transport: 34, Payload: 54, IPLength: 46,
		},
	}
}

// offer gives so many frames, numbered from 0 on.
func offer(s *Sink, frames int) {
	for n := range frames {
		s.Frames().Offer(0, frame(n))
	}
	s.Frames().Mark(0, 0, time.Now().UnixNano())
}

// ports returns the source ports of the frames that came, and their payloads.
func ports(t testing.TB, server *hectest.Server) (list []int, payloads []string) {
	t.Helper()
	for _, a := range arrivals(t, server) {
		if a.Sourcetype != "periscope:frame" {
			t.Fatalf("there is a %s", a.Sourcetype)
		}
		var e struct {
			Port    int    `json:"src_port"`
			Payload string `json:"payload"`
		}
		if err := json.Unmarshal(a.Event, &e); err != nil {
			t.Fatal(err)
		}
		list, payloads = append(list, e.Port), append(payloads, e.Payload)
	}
	return list, payloads
}

// TestWhichFramesAreSent holds the modes.
func TestWhichFramesAreSent(t *testing.T) {
	for name, row := range map[string]struct {
		frames FrameConfig
		want   []int
	}{
		"all":               {FrameConfig{Mode: FramesAll}, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}},
		"one in four":       {FrameConfig{Mode: FramesSampled, Sample: 4}, []int{0, 4, 8}},
		"one in one":        {FrameConfig{Mode: FramesSampled, Sample: 1}, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}},
		"sample not given":  {FrameConfig{Mode: FramesSampled}, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}},
		"more than come":    {FrameConfig{Mode: FramesSampled, Sample: 1000}, []int{0}},
		"all, one matches":  {FrameConfig{Mode: FramesAll, Match: Match{Port: 3}}, []int{3}},
		"sampled, of those": {FrameConfig{Mode: FramesSampled, Sample: 1000, Match: Match{Port: 7}}, []int{7}},
		"none match":        {FrameConfig{Mode: FramesAll, Match: Match{Session: "db"}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
				c.Flow, c.Frames = false, row.frames
				s := open(t, c)
				offer(s, 10)
				after(time.Second)
				l := finish(t, s)
				got, payloads := ports(t, server)
				if len(got) != len(row.want) || l.Offered != uint64(len(row.want)) || l.Stored != l.Offered {
					t.Fatalf("frames %v, account %+v; want %v", got, l, row.want)
				}
				for i, n := range row.want {
					if got[i] != n || payloads[i] != "" {
						t.Errorf("frame %d with payload %q, want %d without", got[i], payloads[i], n)
					}
				}
			})
		})
	}
}

func TestPayloadOfFrames(t *testing.T) {
	for bytes, want := range map[int]string{0: "", 3: "c2Vj", 6: "c2VjcmV0", 256: "c2VjcmV0"} {
		bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
			c.Flow, c.Frames = false, FrameConfig{Mode: FramesAll, Payload: bytes}
			s := open(t, c)
			offer(s, 1)
			after(time.Second)
			finish(t, s)
			if _, got := ports(t, server); len(got) != 1 || got[0] != want {
				t.Errorf("%d bytes: payload %q, want %q", bytes, got, want)
			}
		})
	}
}

// TestNoFrames says that a sink that sends none does not take any.
func TestNoFrames(t *testing.T) {
	s := open(t, newConfig(t, hectest.New(t, token).URL))
	if s.Frames() != nil {
		t.Error("it takes frames")
	}
	finish(t, s)
}

func TestMatch(t *testing.T) {
	six := frame(1)
	six.Header.Version, six.Header.Src = 6, packet.AddrFrom(netip.MustParseAddr("2001:db8::1"))
	six.Header.Dst = packet.AddrFrom(netip.MustParseAddr("2001:db8::2"))
	arp := frame(0)
	arp.Header.Version, arp.Header.Protocol, arp.Header.Transport, arp.Header.EtherType = 0, 0, 0, 0x0806
	fragment := frame(5) // what its ports are is not valid
	fragment.Header.Transport, fragment.Header.FragmentOffset = 0, 1480
	ping := frame(5)
	ping.Header.Protocol = packet.ProtocolICMP
	ping6 := frame(5)
	ping6.Header.Protocol = packet.ProtocolICMPv6
	other := frame(5)
	other.Header = packet.Header{EtherType: 0x88cc, Src: other.Header.Src, SrcPort: 5, Protocol: packet.ProtocolTCP} // none of it valid
	address := netip.MustParsePrefix
	for name, row := range map[string]struct {
		match Match
		frame *packet.Frame
		want  bool
	}{
		"nothing asked":           {Match{}, other, true},
		"session":                 {Match{Session: "web"}, other, true},
		"other session":           {Match{Session: "we"}, frame(5), false},
		"protocol":                {Match{Protocol: packet.ProtocolTCP}, fragment, true},
		"other protocol":          {Match{Protocol: packet.ProtocolUDP}, frame(5), false},
		"protocol without IP":     {Match{Protocol: packet.ProtocolTCP}, other, false},
		"source port":             {Match{Port: 5}, frame(5), true},
		"destination port":        {Match{Port: 443}, frame(5), true},
		"port above":              {Match{Port: 6}, frame(5), false},
		"port below":              {Match{Port: 4}, frame(5), false},
		"port of a fragment":      {Match{Port: 5}, fragment, false},
		"port of ICMP":            {Match{Port: 5}, ping, false},
		"port of ICMPv6":          {Match{Port: 5}, ping6, false},
		"source address":          {Match{Address: address("10.0.0.1/32")}, frame(5), true},
		"destination address":     {Match{Address: address("192.0.2.0/24")}, frame(5), true},
		"address below":           {Match{Address: address("192.0.1.0/24")}, frame(5), false},
		"address above":           {Match{Address: address("192.0.3.0/24")}, frame(5), false},
		"every IPv4 address":      {Match{Address: address("0.0.0.0/0")}, frame(5), true},
		"IPv6 is not IPv4":        {Match{Address: address("0.0.0.0/0")}, six, false},
		"IPv4 is not IPv6":        {Match{Address: address("::/0")}, frame(5), false},
		"IPv6 address":            {Match{Address: address("2001:db8::2/128")}, six, true},
		"address of ARP":          {Match{Address: address("10.0.0.1/32")}, arp, true},
		"address without network": {Match{Address: address("10.0.0.1/32")}, other, false},
		"all of it":               {Match{"web", packet.ProtocolTCP, 443, address("10.0.0.0/8")}, frame(5), true},
		"all but the address":     {Match{"web", packet.ProtocolTCP, 443, address("11.0.0.0/8")}, frame(5), false},
	} {
		if got := row.match.meets(row.frame); got != row.want {
			t.Errorf("%s: %v, want %v", name, got, row.want)
		}
	}
}
