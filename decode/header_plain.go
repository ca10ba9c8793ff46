package decode

import (
	"encoding/binary"

	"github.com/periscope-collector/periscope/packet"
)

// plainLen is the length of the headers that plainTCP reads.
const plainLen = packet.EthernetLen + ipv4Len + tcpLen

// plainTCP reads what most frames are in one step: TCP over IPv4 without IP
// options, a fragment or a VLAN tag. It reports false, and leaves h alone, for
// any other frame and any fault; what it reads, the functions below read alike.
func plainTCP(h *packet.Header, p []byte) bool {
	if len(p) < plainLen {
		return false
	}
	b := (*[plainLen]byte)(p)
	if binary.BigEndian.Uint32(b[12:16])>>8 != etherIPv4<<8|0x45 || b[23] != packet.ProtocolTCP {
		return false
	}
	total, header := int(binary.BigEndian.Uint16(b[16:18])), int(b[46]>>4)*4
	if binary.BigEndian.Uint16(b[20:22])&0x3fff != 0 || header < tcpLen ||
		total < ipv4Len+header || len(p) < packet.EthernetLen+ipv4Len+header {
		return false
	}
	setAddr4(&h.Src, b[26:30])
	setAddr4(&h.Dst, b[30:34])
	h.SrcPort = binary.BigEndian.Uint16(b[34:36])
	h.DstPort = binary.BigEndian.Uint16(b[36:38])
	h.EtherType, h.Version, h.Protocol, h.TCPFlags = etherIPv4, 4, packet.ProtocolTCP, b[47]
	h.FragmentID = uint32(binary.BigEndian.Uint16(b[18:20]))
	h.Network, h.Transport = packet.EthernetLen, packet.EthernetLen+ipv4Len
	h.Payload = uint16(packet.EthernetLen + ipv4Len + header)
	h.IPLength = uint32(total)
	return true
}
