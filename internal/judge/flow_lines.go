package judge

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/periscope-collector/periscope/packet"
)

// TCP flags (RFC 9293, section 3.1).
const (
	fin = 1 << iota
	syn
	rst
	_
	ack
)

// Lines returns what a flow log should say of an Ethernet pcap file of one
// interface with that hardware address: a line for what each end of a flow sent.
// Later fragments are counted with the first one's ports. Flags are as in text,
// where only FIN, SYN and RST count, and ACK together with SYN (Amazon VPC User
// Guide, "Flow log records"), or as in JSON.
func Lines(t testing.TB, path, name, mac string, text bool) []Line {
	t.Helper()
	type datagram struct {
		from, to packet.Addr
		protocol uint8
		id       uint32
	}
	firsts := make(map[datagram][2]uint16)
	var lines []Line
	for _, r := range Tshark(t, path) {
		h := &r.Header
		if h.Version == 0 {
			continue
		}
		d := datagram{h.Src, h.Dst, h.Protocol, h.FragmentID}
		switch {
		case h.FragmentOffset != 0:
			h.SrcPort, h.DstPort = firsts[d][0], firsts[d][1]
		case h.MoreFragments:
			firsts[d] = [2]uint16{h.SrcPort, h.DstPort}
		}
		l := Line{Interface: name, Protocol: h.Protocol,
			From: netip.AddrPortFrom(h.Src.Netip(), h.SrcPort), To: netip.AddrPortFrom(h.Dst.Netip(), h.DstPort),
			Packets: 1, Bytes: uint64(h.IPLength), Start: r.Second, End: r.Second, Flags: int(h.TCPFlags), Direction: "ingress"}
		if r.Source == mac {
			l.Direction = "egress"
		}
		if text {
			if l.Flags &= fin | syn | rst; l.Flags&syn != 0 {
				l.Flags |= int(h.TCPFlags) & ack
			}
		}
		lines = append(lines, l)
	}
	return lines
}

// An ident is what tells lines of an interval apart.
type ident struct {
	name, direction string
	protocol        uint8
	from, to        netip.AddrPort
}

// merge puts lines of the same interface, ends and direction together.
func merge(lines []Line) map[ident]Line {
	merged := make(map[ident]Line)
	for _, l := range lines {
		k := ident{l.Interface, l.Direction, l.Protocol, l.From, l.To}
		m, ok := merged[k]
		if !ok {
			merged[k] = l
			continue
		}
		m.Packets, m.Bytes, m.LostBytes = m.Packets+l.Packets, m.Bytes+l.Bytes, m.LostBytes+l.LostBytes
		m.Start, m.End = min(m.Start, l.Start), max(m.End, l.End)
		m.Flags |= l.Flags
		merged[k] = m
	}
	return merged
}

// CompareLines fails the test unless got says of every flow what want does,
// field by field, however many lines it takes. Times may be a second apart,
// since frames got theirs at different interfaces. It returns the number of
// flows, each direction counted.
func CompareLines(t testing.TB, name string, got, want []Line) int {
	t.Helper()
	have, expected := merge(got), merge(want)
	for k, l := range have {
		if _, ok := expected[k]; !ok {
			t.Errorf("%s: %+v, and nothing of the kind was sent", name, l)
		}
	}
	keys := make([]ident, 0, len(expected))
	for k := range expected {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b ident) int {
		return cmp.Or(cmp.Compare(a.protocol, b.protocol), a.from.Compare(b.from), a.to.Compare(b.to))
	})
	for _, k := range keys {
		if difference := differ(have[k], expected[k]); difference != "" {
			t.Errorf("%s: %s differs:\n got %+v\nwant %+v", name, difference, have[k], expected[k])
		}
	}
	return len(expected)
}

// differ names the first field that differs, or returns "".
func differ(got, want Line) string {
	if abs(got.Start-want.Start) > 1 {
		return "start"
	}
	if abs(got.End-want.End) > 1 {
		return "end"
	}
	got.Start, got.End = want.Start, want.End
	if got != want {
		return fmt.Sprintf("%d packets, %d bytes, flags %d, %d bytes lost", got.Packets, got.Bytes, got.Flags, got.LostBytes)
	}
	return ""
}

func abs(n int64) int64 { return max(n, -n) }
