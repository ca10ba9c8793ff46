package tap

import (
	"encoding/binary"

	"github.com/periscope-collector/periscope/internal/checksum"
	"github.com/periscope-collector/periscope/internal/tpacket"
	"github.com/periscope-collector/periscope/packet"
)

// An offload is what a struct virtio_net_hdr says of a frame (Virtual I/O Device
// version 1.2, section 5.1.6), in the byte order of the machine.
type offload struct {
	flags, kind         uint8
	size                uint16 // of the payload of each segment
	sumStart, sumOffset uint16
}

const (
	needsChecksum = 1 // of flags: from sumStart on, the field at sumOffset has but the pseudo header

	wholeFrame = 0 // kinds; explicit congestion notification is a flag in them
	tcp4       = 1
	tcp6       = 4
	udpGSO     = 5
	kindECN    = 0x80
)

func readOffload(b []byte) offload {
	_ = b[tpacket.OffloadLen-1]
	u16 := binary.NativeEndian.Uint16
	return offload{flags: b[0], kind: b[1] &^ kindECN, size: u16(b[4:]), sumStart: u16(b[6:]), sumOffset: u16(b[8:])}
}

// finish writes the checksum that was left to the hardware into a frame, and
// reports whether it could: where headers are out of reach, it cannot.
func (o *offload) finish(frame []byte) bool {
	start := int(o.sumStart)
	at := start + int(o.sumOffset)
	if at+2 > len(frame) {
		return false
	}
	binary.BigEndian.PutUint16(frame[at:], field(checksum.Sum(0, frame[start:]), o.sumOffset))
	return true
}

// field returns the checksum for a sum, at its offset in the header. To UDP zero
// means that there is none, so it is sent as all ones (RFC 768).
func field(sum uint64, offset uint16) uint16 {
	c := checksum.Fold(sum)
	if c == 0 && offset == sumUDP {
		return 0xffff
	}
	return c
}

// The offsets of the checksum in the headers of TCP and UDP.
const (
	sumTCP = 16
	sumUDP = 6
)

// A super is a frame that stands for several: TCP, or UDP, with more payload than
// one of them has. It aliases the frame.
type super struct {
	header    []byte // up to the payload
	payload   []byte
	size      int // of the payload of each segment but the last, at least 1
	transport int // the offset of the TCP or UDP header
	protocol  uint8
	v6        bool
	pseudo    uint64 // the sum of the addresses and the protocol
}

const (
	ipv4Len, ipv6Len, udpLen, tcpLen = 20, 40, 8, 20

	etherIPv4, etherIPv6 = 0x0800, 0x86dd

	// maxHeader bounds the headers of a super: Ethernet, IPv4 and TCP with all
	// their options are 134.
	maxHeader = 192

	// maxSegments bounds the segments of one super. 64 KiB in the shortest TCP
	// segments that Linux sends, of 48 bytes, are 1,366.
	maxSegments = 2048
)

// split reads a frame as a super, and reports whether it could: frames in tunnels
// and such of more than 64 KiB it does not know.
func (o *offload) split(frame []byte) (s super, ok bool) {
	protocol := uint8(packet.ProtocolTCP)
	switch o.kind {
	case tcp4, tcp6:
	case udpGSO:
		protocol = packet.ProtocolUDP
	default:
		return s, false
	}
	if len(frame) < packet.EthernetLen+ipv4Len || o.size == 0 {
		return s, false
	}
	ip := frame[packet.EthernetLen:]
	s = super{size: int(o.size), protocol: protocol, pseudo: uint64(protocol)}
	var after, length int // of the IP packet: where what it carries begins, and the whole
	switch binary.BigEndian.Uint16(frame[12:]) {
	case etherIPv4:
		after, length = int(ip[0]&0x0f)*4, int(binary.BigEndian.Uint16(ip[2:]))
		if ip[0]>>4 != 4 || after < ipv4Len || ip[9] != protocol || binary.BigEndian.Uint16(ip[6:])&0x3fff != 0 {
			return s, false
		}
		s.pseudo = checksum.Sum(s.pseudo, ip[12:20])
	case etherIPv6:
		if len(ip) < ipv6Len || ip[0]>>4 != 6 {
			return s, false
		}
		s.v6 = true
		after, length = ipv6Len, ipv6Len+int(binary.BigEndian.Uint16(ip[4:]))
		if ip[6] != protocol { // the kernel says what is behind options, and only of them it is plain
			if after = int(o.sumStart) - packet.EthernetLen; ip[6] != hopByHop && ip[6] != destinationOptions ||
				o.flags&needsChecksum == 0 || after < ipv6Len+8 {
				return s, false
			}
		}
		s.pseudo = checksum.Sum(s.pseudo, ip[8:40])
	default:
		return s, false
	}
	s.transport = packet.EthernetLen + after
	return s, s.cut(frame, packet.EthernetLen+length)
}

// Extension headers of IPv6 that are followed by what they are in front of
// (RFC 8200, section 4.1).
const (
	hopByHop           = 0
	destinationOptions = 60
)

// cut finds the payload of a frame whose IP packet ends at end.
func (s *super) cut(frame []byte, end int) bool {
	begin := s.transport + udpLen
	if s.protocol == packet.ProtocolTCP {
		if s.transport+tcpLen > len(frame) {
			return false
		}
		words := int(frame[s.transport+12] >> 4)
		if words < 5 {
			return false
		}
		begin = s.transport + 4*words
	}
	if begin > maxHeader || begin >= end || end > len(frame) {
		return false
	}
	s.header, s.payload = frame[:begin], frame[begin:end]
	return s.segments() <= maxSegments
}

// segments returns how many frames it stands for, at least 1.
func (s *super) segments() int { return (len(s.payload) + s.size - 1) / s.size }

// part returns the payload of a segment.
func (s *super) part(i int) []byte {
	from := i * s.size
	return s.payload[from:min(from+s.size, len(s.payload))]
}

// Flags of TCP (RFC 9293, section 3.1; RFC 3168).
const (
	flagFIN = 0x01
	flagPSH = 0x08
	flagCWR = 0x80
)

// appendHeader appends the headers of a segment, as the kernel makes them
// (net/ipv4/tcp_offload.c and udp_offload.c): FIN and PSH are the last one's,
// CWR is the first one's, and IPv4's identification counts up.
func (s *super) appendHeader(b []byte, i int) []byte {
	start := len(b)
	b = append(b, s.header...)
	ip, l4 := b[start+packet.EthernetLen:], b[start+s.transport:]
	payload := s.part(i)
	if s.v6 {
		binary.BigEndian.PutUint16(ip[4:], uint16(len(ip)-ipv6Len+len(payload)))
	} else {
		binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)+len(payload)))
		binary.BigEndian.PutUint16(ip[4:], binary.BigEndian.Uint16(ip[4:])+uint16(i))
		ip[10], ip[11] = 0, 0
		binary.BigEndian.PutUint16(ip[10:], checksum.Fold(checksum.Sum(0, ip[:s.transport-packet.EthernetLen])))
	}
	length := len(l4) + len(payload)
	at := uint16(sumTCP)
	if s.protocol == packet.ProtocolTCP {
		binary.BigEndian.PutUint32(l4[4:], binary.BigEndian.Uint32(l4[4:])+uint32(i*s.size))
		if i > 0 {
			l4[13] &^= flagCWR
		}
		if i < s.segments()-1 {
			l4[13] &^= flagFIN | flagPSH
		}
	} else {
		at = sumUDP
		binary.BigEndian.PutUint16(l4[4:], uint16(length))
		if l4[6]|l4[7] == 0 {
			return b // sent without
		}
	}
	l4[at], l4[at+1] = 0, 0
	sum := checksum.Sum(checksum.Sum(s.pseudo+uint64(length), l4), payload)
	binary.BigEndian.PutUint16(l4[at:], field(sum, at))
	return b
}
