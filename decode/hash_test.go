package decode_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/periscope-collector/periscope/decode"
	"github.com/periscope-collector/periscope/packet"
)

// classicHash is the hash as a classic BPF program computes it: absolute loads,
// of which one beyond the end returns 0.
func classicHash(frame []byte) (h uint32) {
	defer func() {
		if recover() != nil {
			h = 0
		}
	}()
	load8 := func(at int) uint32 { return uint32(frame[at : at+1 : len(frame)][0]) }
	load16 := func(at int) uint32 { return uint32(binary.BigEndian.Uint16(frame[at : at+2 : len(frame)])) }
	load32 := func(at int) uint32 { return binary.BigEndian.Uint32(frame[at : at+4 : len(frame)]) }

	kind, off := load16(12), 14
	for range 2 {
		if kind == 0x8100 || kind == 0x88a8 || kind == 0x9100 {
			kind = load16(off + 2)
			off += 4
		}
	}
	var src, dst, proto, sport, dport uint32
	switch kind {
	case 0x0800:
		src, dst = load32(off+12), load32(off+16)
		proto = load8(off + 9)
		ports := off + 4*int(load8(off)&0x0f)
		if (proto == 6 || proto == 17 || proto == 132) && load16(off+6)&0x3fff == 0 {
			sport, dport = load16(ports), load16(ports+2)
		}
	case 0x86dd:
		for i := range 4 {
			src ^= load32(off + 8 + 4*i)
			dst ^= load32(off + 24 + 4*i)
		}
		proto = load8(off + 6)
		if proto == 6 || proto == 17 || proto == 132 {
			sport, dport = load16(off+40), load16(off+42)
		}
	default:
		return 0
	}
	h = (src^dst)*0x9E3779B1 + src + dst
	h ^= ((sport ^ dport) + (sport+dport)<<16) * 0x85EBCA6B
	h += proto * 0xC2B2AE35
	h ^= h >> 16
	h *= 0x85EBCA6B
	h ^= h >> 13
	h *= 0xC2B2AE35
	h ^= h >> 16
	return h
}

// reversed returns the frame as the other end would send it: addresses and
// ports swapped, as far as they can be told.
func reversed(data []byte) []byte {
	b := bytes.Clone(data)
	f := packet.Frame{Data: data, Length: len(data)}
	decode.Decode(&f)
	h := f.Header
	switch n := int(h.Network); h.Version {
	case 4:
		swap(b[n+12:n+16], b[n+16:n+20])
	case 6:
		swap(b[n+8:n+24], b[n+24:n+40])
	}
	if n := int(h.Transport); n != 0 && h.Protocol != packet.ProtocolICMP && h.Protocol != packet.ProtocolICMPv6 {
		swap(b[n:n+2], b[n+2:n+4])
	}
	return b
}

func swap(x, y []byte) {
	for i := range x {
		x[i], y[i] = y[i], x[i]
	}
}

func TestFlowHash(t *testing.T) {
	for _, c := range fixtures() {
		whole := wire(c.frame)
		for n := range len(whole) + 1 {
			cut := whole[:n:n]
			h := decode.FlowHash(cut)
			if want := classicHash(cut); h != want {
				t.Errorf("%s cut to %d bytes: hash = %#x, want %#x", c.name, n, h, want)
			}
			if back := decode.FlowHash(reversed(cut)); back != h {
				t.Errorf("%s cut to %d bytes: hash = %#x, of the other direction %#x", c.name, n, h, back)
			}
		}
	}
}

// Values worked out once, apart from both implementations: what a change of the
// kernel's program and of this one alike would break.
func TestFlowHashValues(t *testing.T) {
	for _, c := range []struct {
		name string
		want uint32
	}{
		{"ipv4_tcp", 0x7d16e579},
		{"ipv4_second_fragment", 0x7e2b7f65},
		{"ipv6_tcp", 0x50fdbc39},
		{"icmpv6_neighbour_solicitation", 0xe651f88e},
		{"sctp_init", 0xfe83a659},
		{"arp_request_padded", 0},
		{"vlan_three_tags", 0},
	} {
		if got := decode.FlowHash(named(c.name)); got != c.want {
			t.Errorf("%s: hash = %#x, want %#x", c.name, got, c.want)
		}
	}
}

// What is not of the flow does not enter: hardware addresses, tags, the time to
// live, payload. So both copies of a packet meet when both its ends are mirrored.
func TestFlowHashOfCopies(t *testing.T) {
	for _, name := range []string{"ipv4_tcp", "udp", "ipv6_tcp", "sctp_init"} {
		frame := named(name)
		want := decode.FlowHash(frame)
		if want == 0 {
			t.Fatalf("%s: hash is 0", name)
		}
		other := bytes.Clone(frame)
		invert(other[:12])
		if decode.FlowHash(other) != want {
			t.Errorf("%s: other MAC addresses, other hash", name)
		}
		tagged := bytes.Join([][]byte{frame[:12], {0x88, 0xa8, 0, 7, 0x81, 0, 0, 8}, frame[12:]}, nil)
		if decode.FlowHash(tagged) != want {
			t.Errorf("%s: other tags, other hash", name)
		}
		if decode.FlowHash(append(bytes.Clone(frame), 1, 2, 3)) != want {
			t.Errorf("%s: other payload, other hash", name)
		}
	}
}

// Flows spread over any number of workers although their addresses and ports
// have little to tell them apart. The bound is that of chi-square at odds of one
// in a million.
func TestFlowHashSpreads(t *testing.T) {
	const flows = 1 << 14
	bound := map[int]float64{2: 23.9, 3: 27.6, 4: 30.7, 8: 40.5, 16: 56.5}
	random := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		name  string
		frame string
		set   func(b []byte, i int) // makes flow i of b
	}{
		{"client_ports_count_up", "ipv4_tcp", func(b []byte, i int) { put16(b[34:], 32768+i) }},
		{"client_ports_count_up_by_2", "ipv4_tcp", func(b []byte, i int) { put16(b[34:], 2*i) }},
		{"client_ports_of_udp6", "vlan_802.1ad_outer", func(b []byte, i int) { put16(b[62:], 32768+i) }},
		{"clients_count_up", "ipv4_tcp", func(b []byte, i int) { put16(b[28:], i) }},
		{"clients_count_up_ping", "vlan_0x9100_outer", func(b []byte, i int) { put16(b[36:], i) }},
		{"clients_64_apart", "ipv4_tcp", func(b []byte, i int) { put32(b[26:], i<<6) }},
		{"128_clients_128_servers", "ipv4_tcp", func(b []byte, i int) { b[28], b[33] = byte(i>>7), byte(i&0x7f) }},
		{"128_clients_128_ports", "ipv4_tcp", func(b []byte, i int) { b[29], b[35] = byte(i>>7), byte(i&0x7f) }},
		{"address_and_port_count_together", "ipv4_tcp", func(b []byte, i int) { put16(b[28:], i); put16(b[34:], i) }},
		{"clients_of_ipv6", "ipv6_tcp", func(b []byte, i int) { put16(b[36:], i) }},
		{"random", "ipv4_tcp", func(b []byte, _ int) { put32(b[26:], int(random.Uint32())); put16(b[34:], int(random.Uint32())) }},
	} {
		frame := named(c.frame)
		for workers, limit := range bound {
			counts := make([]int, workers)
			for i := range flows {
				c.set(frame, i)
				counts[decode.FlowHash(frame)%uint32(workers)]++
			}
			chi, mean := 0.0, float64(flows)/float64(workers)
			for _, n := range counts {
				chi += (float64(n) - mean) * (float64(n) - mean) / mean
			}
			if chi > limit {
				t.Errorf("%s over %d workers: %v, chi-square %.1f > %.1f", c.name, workers, counts, chi, limit)
			}
		}
	}
}

func put16(b []byte, n int) { binary.BigEndian.PutUint16(b, uint16(n)) }
func put32(b []byte, n int) { binary.BigEndian.PutUint32(b, uint32(n)) }
