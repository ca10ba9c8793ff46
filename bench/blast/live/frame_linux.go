package live

import (
	"encoding/binary"
	"net/netip"

	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/tunnel"
)

// Where things are in a datagram: Ethernet, IPv4, UDP, VXLAN, Ethernet, IPv4,
// TCP, payload. The program writes what varies between frames. The checksums
// stay those of the template: under each, every varying field stands beside its
// complement, and both together add nothing (RFC 1071).
const (
	outerLen = packet.EthernetLen + 20 + 8 + tunnel.VXLANLen

	outerPort = packet.EthernetLen + 20 // UDP source port; that checksum is zero

	ip         = outerLen + packet.EthernetLen
	ipID       = ip + 4 // complement of the address, for the checksum of IPv4
	ipChecksum = ip + 10
	address    = ip + 14 // lower half of the source address
	tcp        = ip + 20
	port       = tcp // source port
	tcpSeq     = tcp + 4
	tcpSum     = tcp + 16
	payload    = tcp + 20
	sequence   = payload + 2 // behind the mark of traffic.Sequence

	notSequence = sequence + 8
	notAddress  = notSequence + 8
	notPort     = notAddress + 2
	notTCPSeq   = notPort + 2
	variedLen   = notTCPSeq + 4 // end of what the program writes

	firstPort = 1024 // of inner flows

	// MinSize is the shortest inner frame, in bytes.
	MinSize = variedLen - outerLen

	// MaxFlows fits 16 bits of address and the ports that follow firstPort.
	MaxFlows = 1 << 21
)

// template returns the datagram as it is on the wire, with every varying field
// zero and every complement all ones: what they add to a checksum is then what
// they always add.
func template(c *Config) []byte {
	inner := c.Size - packet.EthernetLen - 40 // payload of TCP
	_, near, _ := traffic.Interface()
	near4 := near.Netip().As4()

	// Ethernet, from a router to the mirrored interface.
	f := []byte{0x0a, 0x50, 0x53, 0, 0, 1, 0x0a, 0x50, 0x53, 0, 0, 2, 0x08, 0x00}
	// IPv4 (RFC 791), TTL 57, from 198.18.0.0 (RFC 2544).
	f = append(f, 0x45, 0, byte((c.Size-14)>>8), byte(c.Size-14), 0xff, 0xff, 0x40, 0, 57, packet.ProtocolTCP, 0, 0, 198, 18, 0, 0)
	f = append(f, near4[:]...)
	// TCP (RFC 9293), to port 7, with PSH and ACK and the whole window.
	f = append(f, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 1, 0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0)
	f = append(f, 'P', 'S', 0, 0, 0, 0, 0, 0, 0, 0)
	for range variedLen - notSequence {
		f = append(f, 0xff)
	}
	f = append(f, make([]byte, c.Size-len(f))...)

	at := func(offset int) int { return offset - outerLen }
	binary.BigEndian.PutUint16(f[at(ipChecksum):], ^sum(0, f[at(ip):at(tcp)]))
	pseudo := sum(uint32(packet.ProtocolTCP)+uint32(20+inner), f[at(ip)+12:at(tcp)])
	binary.BigEndian.PutUint16(f[at(tcpSum):], ^sum(uint32(pseudo), f[at(tcp):]))

	b := traffic.AppendOuter(nil, netip.AddrPortFrom(c.Source, 0), netip.AddrPortFrom(c.Target, tunnel.VXLANPort),
		traffic.AppendVXLAN(nil, c.VNI, f))
	copy(b, c.MAC[:])
	return b
}

// sum is the one's complement sum of start and b (RFC 1071).
func sum(start uint32, b []byte) uint16 {
	for ; len(b) >= 2; b = b[2:] {
		start += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		start += uint32(b[0]) << 8
	}
	for start > 0xffff {
		start = start>>16 + start&0xffff
	}
	return uint16(start)
}
