package judge

import (
	"strings"

	"github.com/periscope-collector/periscope/packet"
)

func (r *reader) row() Row {
	row := Row{
		Captured: int(r.first("frame.cap_len")),
		Length:   int(r.first("frame.len")),
		Source:   r.nth("eth.src", 0),
		Stopped:  r.values["_ws.malformed"] != "" || r.values["_ws.short"] != "",
		Payload:  -1,
	}
	second, _, _ := strings.Cut(r.values["frame.time_epoch"], ".")
	row.Second = int64(r.parse("frame.time_epoch", second))
	var layers []string
	for name := range strings.SplitSeq(r.values["frame.protocols"], ":") {
		if name != "eth" && name != "ethertype" {
			layers = append(layers, name)
		}
	}
	row.Tags, layers = r.link(&row.Header, layers)
	if len(layers) == 0 {
		return row
	}
	h := &row.Header
	row.Network, layers = layers[0], layers[1:]
	switch row.Network {
	case "arp":
		h.Src, h.Dst = r.addr("arp.src.proto_ipv4"), r.addr("arp.dst.proto_ipv4")
		return row
	case "ip":
		r.ipv4(h)
	case "ipv6":
		row.Next = uint8(r.first("ipv6.nxt"))
		layers = r.ipv6(h, layers)
	}
	if len(layers) > 0 {
		row.Transport = layers[0]
		r.transport(&row)
	}
	return row
}

// tags are the fields of a VLAN tag: its identifier, and the type that follows.
var tags = map[string][2]string{
	"vlan":       {"vlan.id", "vlan.etype"},
	"ieee8021ad": {"ieee8021ad.id", "ieee8021ah.etype"},
}

// link reads the tags, and returns their number and the layers behind them.
func (r *reader) link(h *packet.Header, layers []string) (int, []string) {
	n := 0
	h.EtherType = uint16(r.first("eth.type") + r.first("eth.len"))
	seen := make(map[string]int)
	for len(layers) > 0 && tags[layers[0]][0] != "" {
		name := layers[0]
		id, etherType := tags[name][0], tags[name][1]
		h.EtherType = uint16(r.parse(etherType, r.nth(etherType, seen[name])))
		if int(h.VLANs) < len(h.VLAN) {
			h.VLAN[h.VLANs] = uint16(r.parse(id, r.nth(id, seen[name])))
			h.VLANs++
		}
		seen[name]++
		n++
		layers = layers[1:]
	}
	return n, layers
}

func (r *reader) ipv4(h *packet.Header) {
	h.Src, h.Dst = r.addr("ip.src"), r.addr("ip.dst")
	h.Version, h.Protocol = 4, uint8(r.first("ip.proto"))
	h.IPLength, h.FragmentID = uint32(r.first("ip.len")), uint32(r.first("ip.id"))
	h.MoreFragments = r.first("ip.flags.mf") != 0
	h.FragmentOffset = uint16(r.first("ip.frag_offset") * 8)
}

// ipv6 returns the layers behind the extension headers.
func (r *reader) ipv6(h *packet.Header, layers []string) []string {
	h.Src, h.Dst = r.addr("ipv6.src"), r.addr("ipv6.dst")
	h.Version, h.Protocol = 6, uint8(r.first("ipv6.nxt"))
	if n := r.first("ipv6.plen"); n != 0 || h.Protocol == 59 {
		h.IPLength = uint32(40 + n)
	}
	seen := make(map[string]int)
	for len(layers) > 0 && extensions[layers[0]] != "" {
		field := extensions[layers[0]]
		h.Protocol = uint8(r.parse(field, r.nth(field, seen[field])))
		seen[field]++
		layers = layers[1:]
	}
	h.MoreFragments = r.first("ipv6.fraghdr.more") != 0
	h.FragmentOffset = uint16(r.first("ipv6.fraghdr.offset") * 8)
	h.FragmentID = uint32(r.first("ipv6.fraghdr.ident"))
	return layers
}

// transport reads the layer behind the IP headers. The fields of a packet that
// an ICMP error quotes come later, and do not count.
func (r *reader) transport(row *Row) {
	h := &row.Header
	switch name := row.Transport; name {
	case "tcp", "udp", "sctp":
		h.SrcPort, h.DstPort = uint16(r.first(name+".srcport")), uint16(r.first(name+".dstport"))
		switch {
		case name == "tcp":
			h.TCPFlags = uint8(r.first("tcp.flags"))
			if r.values["tcp.len"] != "" {
				row.Payload = int(r.first("tcp.len"))
			}
		case name == "udp" && r.first("udp.length") >= 8 && !h.Fragment():
			row.Payload = int(r.first("udp.length")) - 8
		}
	case "icmp", "icmpv6":
		h.ICMPType, h.ICMPCode = uint8(r.first(name+".type")), uint8(r.first(name+".code"))
	}
}
