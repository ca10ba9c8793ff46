package capture

import (
	"encoding/binary"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/tunnel"
)

// plainLen is the length of the headers that plain reads: Ethernet, IPv4, UDP.
const plainLen = packet.EthernetLen + 20 + udpLen

// plain makes d of what most packets are in one step: a whole datagram to a
// standard port, over IPv4 without options, a fragment or a VLAN tag, whose
// lengths agree. It reports false for any other packet, and leaves d alone; what
// it reads, tunnelPorts.outer reads alike.
func plain(d *packet.Datagram, pkt []byte) bool {
	if len(pkt) < plainLen {
		return false
	}
	b := (*[plainLen]byte)(pkt)
	if binary.BigEndian.Uint32(b[12:16])>>8 != etherIPv4<<8|0x45 || b[23] != packet.ProtocolUDP || binary.BigEndian.Uint16(b[20:22])&0x3fff != 0 {
		return false
	}
	encap := packet.VXLAN
	switch binary.BigEndian.Uint16(b[36:38]) {
	case tunnel.VXLANPort:
	case tunnel.GENEVEPort:
		encap = packet.GENEVE
	default:
		return false
	}
	total, n := int(binary.BigEndian.Uint16(b[16:18])), int(binary.BigEndian.Uint16(b[38:40]))
	end := packet.EthernetLen + total
	if n < udpLen || total != 20+n || end > len(pkt) {
		return false
	}
	d.Buf, d.Off, d.Length, d.Encap = pkt[plainLen-packet.Headroom:end:end], packet.Headroom, n-udpLen, encap
	// In one store: to copy 16 bytes written in parts holds the processor up.
	binary.LittleEndian.PutUint64(d.Source[8:], 0xffff_0000|uint64(binary.LittleEndian.Uint32(b[26:30]))<<32)
	return true
}
