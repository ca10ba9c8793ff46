package capture

import (
	"encoding/binary"

	"github.com/periscope-collector/periscope/packet"
)

// fragments are datagrams that the network took apart.
func (in *assortment) fragments() {
	for i := range 8 {
		f := outerForm{six: i&1 != 0}
		p := in.add("fragments", f, packet.VXLAN, tunnelled(packet.VXLAN, false, make([]byte, 1000+i)))
		p.kind = probeParts
		if f.six {
			p.pkts = split6(p.pkts[0], uint32(i+1))
		} else {
			p.pkts = split4(p.pkts[0], uint16(i+1))
		}
	}
}

// firstPart is how much of a packet is in its first fragment: a multiple of 8.
const firstPart = 512

// split4 makes two fragments of an IPv4 packet (RFC 791, section 3.1).
func split4(pkt []byte, id uint16) [][]byte {
	const header = packet.EthernetLen + 20
	parts := [][]byte{cat(pkt[:header+firstPart]), cat(pkt[:header], pkt[header+firstPart:])}
	for i, part := range parts {
		binary.BigEndian.PutUint16(part[16:], uint16(len(part)-packet.EthernetLen))
		binary.BigEndian.PutUint16(part[18:], id)
		binary.BigEndian.PutUint16(part[20:], []uint16{0x2000, firstPart / 8}[i])
		seal(part)
	}
	return parts
}

// split6 makes two fragments of an IPv6 packet (RFC 8200, section 4.5).
func split6(pkt []byte, id uint32) [][]byte {
	const header = packet.EthernetLen + ipv6Len
	body := pkt[header:]
	var parts [][]byte
	for i, piece := range [][]byte{body[:firstPart], body[firstPart:]} {
		extension := binary.BigEndian.AppendUint16([]byte{packet.ProtocolUDP, 0}, []uint16{1, firstPart}[i])
		part := cat(pkt[:header], binary.BigEndian.AppendUint32(extension, id), piece)
		part[20] = fragment
		binary.BigEndian.PutUint16(part[18:], uint16(len(part)-header))
		parts = append(parts, part)
	}
	return parts
}

// vlans are datagrams of VLANs that the receiving host is no member of.
func (in *assortment) vlans() {
	for i, tags := range [][]byte{{0x81, 0, 0, 5}, {0x88, 0xa8, 0, 6, 0x81, 0, 0, 7}} {
		for _, encap := range []packet.Encap{packet.VXLAN, packet.GENEVE} {
			f := outerForm{six: i == 1, tags: tags}
			in.add("of a VLAN", f, encap, tunnelled(encap, f.six, make([]byte, 200))).kind = probeTagged
		}
	}
}

// damaged are datagrams that nothing is wrong with but what a host checks.
func (in *assortment) damaged() {
	payload := tunnelled(packet.VXLAN, false, make([]byte, 300))
	damage := func(name string, six bool, kind probeKind, at int) {
		p := in.add(name, outerForm{six: six, checksum: true}, packet.VXLAN, payload)
		p.kind = kind
		if at < 0 {
			at += len(p.pkts[0]) - len(payload)
		}
		p.pkts[0][at] ^= 0x40
	}
	for _, six := range []bool{false, true} {
		damage("wrong UDP checksum", six, probeCorrupt, -1)
		damage("UDP length beyond the packet", six, probeDamaged, -4)
	}
	damage("wrong IPv4 checksum", false, probeDamaged, 24)
}

// others are what else is on the wire.
func (in *assortment) others() {
	payload := tunnelled(packet.VXLAN, false, make([]byte, 100))
	for _, six := range []bool{false, true} {
		p := in.add("to another host", outerForm{six: six}, packet.VXLAN, payload)
		p.kind = probeElsewhere
		p.pkts[0][5] ^= 1
	}
	for _, tt := range []struct {
		name  string
		spoil func(pkt []byte)
	}{
		{"to another port", func(pkt []byte) { pkt[37]++ }},
		{"from a tunnel port", func(pkt []byte) { copy(pkt[34:], []byte{0x12, 0xb5, 0, 9}) }},
		{"TCP", func(pkt []byte) { pkt[23] = packet.ProtocolTCP; seal(pkt) }},
		{"ESP", func(pkt []byte) { pkt[23] = 50; seal(pkt) }},
		{"ARP", func(pkt []byte) { pkt[13] = 6 }},
		{"an EtherType that nobody knows", func(pkt []byte) { pkt[12] = 0x99 }},
	} {
		p := in.add(tt.name, outerForm{}, packet.VXLAN, payload)
		p.kind = probeOther
		tt.spoil(p.pkts[0])
	}
}

// seal writes the checksum of the IPv4 header of an untagged packet.
func seal(pkt []byte) {
	h := pkt[packet.EthernetLen:][:int(pkt[packet.EthernetLen]&0x0f)*4]
	h[10], h[11] = 0, 0
	binary.BigEndian.PutUint16(h[10:], ^fold16(h))
}

// setChecksum writes the UDP checksum of an untagged packet (RFC 768; RFC 8200,
// section 8.1).
func setChecksum(pkt []byte) {
	addresses, udp := pkt[26:34], pkt[34:]
	if pkt[12] == 0x86 {
		addresses, udp = pkt[22:54], pkt[54:]
	}
	pseudo := binary.BigEndian.AppendUint32(cat(addresses), uint32(len(udp)))
	pseudo = append(pseudo, 0, 0, 0, packet.ProtocolUDP)
	sum := ^fold16(cat(pseudo, udp))
	if sum == 0 {
		sum = 0xffff // 0 says that there is none
	}
	binary.BigEndian.PutUint16(udp[6:], sum)
}

// fold16 returns the one's complement sum of 16-bit words (RFC 1071).
func fold16(b []byte) uint16 {
	var sum uint32
	for i, v := range b {
		sum += uint32(v) << (8 * (1 - i&1))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}
