package traffic

import (
	"bytes"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/periscope-collector/periscope/packet"
)

func TestConversationsAreDeterministic(t *testing.T) {
	c := ConversationsConfig{Seed: 7, Flows: 50, Frames: 3000}
	a, b := NewConversations(c), NewConversations(c)
	c.Seed = 8
	other, differ := NewConversations(c), false
	for i := range c.Frames {
		x := a.Next()
		if x == nil || !bytes.Equal(x, b.Next()) {
			t.Fatalf("frame %d of %d bytes differs with the same seed", i, len(x))
		}
		differ = differ || !bytes.Equal(x, other.Next())
	}
	if !differ {
		t.Error("another seed gives the same frames")
	}
	if x := a.Next(); x != nil {
		t.Errorf("there are more than %d frames", c.Frames)
	}
}

// TestConversationsKnowWhatTheyMade sums up the frames as gopacket reads them.
// Frames do not divide evenly by flows, some of which have one more; with 20
// frames for 100 flows most have none.
func TestConversationsKnowWhatTheyMade(t *testing.T) {
	for _, c := range []ConversationsConfig{
		{}, {Flows: 1}, {Flows: 100, Frames: 20}, {Flows: 33, Frames: 100}, {Flows: 33, Frames: 5000, Payload: 1440},
	} {
		g := NewConversations(c)
		got := make(map[Conversation][2]uint64) // packets and bytes, by protocol, source and destination
		frames := 0
		ports := make(map[[2]packet.Addr][2]uint16) // of the first fragment
		for frame := g.Next(); frame != nil; frame = g.Next() {
			frames++
			key := side(t, frame, ports)
			sum := got[key]
			got[key] = [2]uint64{sum[0] + 1, sum[1] + uint64(len(frame)-packet.EthernetLen)}
		}
		want := make(map[Conversation][2]uint64)
		for c := range g.Truth {
			for end := range c.Packets {
				if c.Packets[end] != 0 {
					key := Conversation{Protocol: c.Protocol,
						Addr: [2]packet.Addr{c.Addr[end], c.Addr[1-end]}, Port: [2]uint16{c.Port[end], c.Port[1-end]}}
					want[key] = [2]uint64{c.Packets[end], c.Bytes[end]}
				}
			}
		}
		if c.Frames != 0 && frames != c.Frames {
			t.Errorf("%+v: %d frames", c, frames)
		}
		if len(got) != len(want) {
			t.Errorf("%+v: %d sides of conversations, want %d", c, len(got), len(want))
		}
		for key, sum := range want {
			if got[key] != sum {
				t.Errorf("%+v: %+v: %v packets and bytes, want %v", c, key, got[key], sum)
			}
		}
	}
}

// side says which side of which conversation the frame is of.
func side(t *testing.T, frame []byte, ports map[[2]packet.Addr][2]uint16) (key Conversation) {
	t.Helper()
	p := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.NoCopy)
	if p.ErrorLayer() != nil {
		t.Fatalf("%v\n%x", p.ErrorLayer().Error(), frame)
	}
	fragment := false
	switch ip := p.NetworkLayer().(type) {
	case *layers.IPv4:
		key.Addr = [2]packet.Addr{packet.AddrFrom4([4]byte(ip.SrcIP.To4())), packet.AddrFrom4([4]byte(ip.DstIP.To4()))}
		key.Protocol = uint8(ip.Protocol)
		if fragment = ip.FragOffset != 0 || ip.Flags&layers.IPv4MoreFragments != 0; fragment && ip.FragOffset == 0 {
			b := ip.LayerPayload()
			ports[key.Addr] = [2]uint16{uint16(b[0])<<8 | uint16(b[1]), uint16(b[2])<<8 | uint16(b[3])}
		}
	case *layers.IPv6:
		key.Addr = [2]packet.Addr{packet.Addr(ip.SrcIP), packet.Addr(ip.DstIP)}
		key.Protocol = uint8(ip.NextHeader)
	}
	switch l := p.TransportLayer().(type) {
	case *layers.TCP:
		key.Port = [2]uint16{uint16(l.SrcPort), uint16(l.DstPort)}
	case *layers.UDP:
		key.Port = [2]uint16{uint16(l.SrcPort), uint16(l.DstPort)}
	}
	if fragment {
		key.Port = ports[key.Addr]
	}
	return key
}

// TestConversationsSatisfyTshark has tshark look for checksums, sequence numbers
// and acknowledgements that are not as they should be, and for datagrams that
// cannot be put together. Short conversations are
// half-open or refused, and have not all there is.
func TestConversationsSatisfyTshark(t *testing.T) {
	for _, c := range []ConversationsConfig{{Flows: 200, Frames: 12_000}, {Flows: 2000, Frames: 14_001}, {Flows: 2000, Frames: 3000}} {
		path := writeCapture(t, c.Frames, NewConversations(c).Append)
		satisfies(t, path)
		if out := tshark(t, path, "-Y", "tcp.analysis.flags"); out != "" {
			t.Errorf("TCP:\n%s", head(out, 10))
		}
		if c.Flows > c.Frames/7 {
			continue
		}
		for _, have := range []string{"tcp.flags.fin == 1", "tcp.flags.reset == 1", "tcp.flags.syn == 1 && tcp.flags.ack == 1",
			"icmp.type == 8", "icmp.type == 0", "icmp.type == 3 && udp", "icmpv6.type == 128", "icmpv6.type == 1 && udp", "ipv6 && tcp.len > 0"} {
			if tshark(t, path, "-Y", have) == "" {
				t.Errorf("%d frames of %d flows: none is %s", c.Frames, c.Flows, have)
			}
		}
	}
}

func TestConversationsFragmentsArePutTogether(t *testing.T) {
	path := writeCapture(t, 20_000, NewConversations(ConversationsConfig{Flows: 100}).Append)
	fragments := bytes.Count([]byte(tshark(t, path, "-o", "ip.defragment:FALSE", "-Y", "ip.flags.mf == 1 || ip.frag_offset > 0")), []byte("\n"))
	whole := bytes.Count([]byte(tshark(t, path, "-Y", "ip.fragment.count == 3 && udp.checksum.status == 1")), []byte("\n"))
	if whole == 0 || fragments != 3*whole {
		t.Errorf("%d fragments give %d datagrams", fragments, whole)
	}
}

func TestConversationsAllocateNothing(t *testing.T) {
	g := NewConversations(ConversationsConfig{Flows: 64, Frames: 100_000})
	for range 1000 {
		g.Next()
	}
	if n := testing.AllocsPerRun(10_000, func() { g.Next() }); n != 0 {
		t.Errorf("%v allocations a frame, want 0", n)
	}
}
