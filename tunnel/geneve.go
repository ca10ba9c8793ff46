package tunnel

import "encoding/binary"

// GENEVEPort is the UDP port of GENEVE (RFC 8926, section 3.3), the one a
// Gateway Load Balancer sends to.
const GENEVEPort = 6081

// GENEVELen is the length of a GENEVE header without options, in bytes.
const GENEVELen = 8

// Protocol types of a GENEVE payload (RFC 8926, section 3.4).
const (
	ProtocolEthernet = 0x6558
	ProtocolIPv4     = 0x0800
	ProtocolIPv6     = 0x86dd
)

// AWS's option class (IANA, "Amazon.com, Inc.") and the types a Gateway Load
// Balancer sets on every packet.
const (
	awsClass      = 0x0108
	awsEndpoint   = 1 // 8 bytes
	awsAttachment = 2 // 8 bytes
	awsCookie     = 3 // 4 bytes
)

// GENEVE is a GENEVE header.
//
//	 0                   1                   2                   3
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//	|Ver|  Opt Len  |O|C|    Rsvd.  |          Protocol Type        |
//	|        Virtual Network Identifier (VNI)       |    Reserved   |
//	|                    Variable-Length Options                    |
type GENEVE struct {
	VNI      uint32 // 24 bits
	Protocol uint16 // EtherType of the payload

	// Reserved says that a reserved bit was set.
	Reserved bool

	// AWS says that at least one of the options of a Gateway Load Balancer was
	// there; Endpoint, Attachment and Cookie are then what they said, else 0.
	AWS        bool
	Endpoint   uint64 // the endpoint's interface
	Attachment uint64
	Cookie     uint32 // of the flow; only needed to send traffic back
}

// ParseGENEVE splits a UDP payload into its GENEVE header and what follows the
// options. payload aliases b. Options of other classes are skipped by their
// length; one that runs past the others is a fault.
func ParseGENEVE(b []byte) (g GENEVE, payload []byte, fault Fault) {
	if len(b) < GENEVELen {
		return GENEVE{}, nil, GENEVEOptions
	}
	if b[0]>>6 != 0 {
		return GENEVE{}, nil, GENEVEVersion
	}
	end := GENEVELen + int(b[0]&0x3f)*4
	if len(b) < end {
		return GENEVE{}, nil, GENEVEOptions
	}
	g.Protocol = binary.BigEndian.Uint16(b[2:])
	id := binary.BigEndian.Uint32(b[4:])
	g.VNI, g.Reserved = id>>8, b[1]&0x3f != 0 || id&0xff != 0
	for options := b[GENEVELen:end]; len(options) > 0; {
		// Lengths are multiples of 4, so 4 bytes are always there.
		n := 4 + int(options[3]&0x1f)*4
		if n > len(options) {
			return GENEVE{}, nil, GENEVEOptions
		}
		if binary.BigEndian.Uint16(options) == awsClass {
			g.option(options[2], options[4:n])
		}
		options = options[n:]
	}
	return g, b[end:], OK
}

func (g *GENEVE) option(kind byte, data []byte) {
	switch {
	case kind == awsEndpoint && len(data) == 8:
		g.Endpoint = binary.BigEndian.Uint64(data)
	case kind == awsAttachment && len(data) == 8:
		g.Attachment = binary.BigEndian.Uint64(data)
	case kind == awsCookie && len(data) == 4:
		g.Cookie = binary.BigEndian.Uint32(data)
	default:
		return
	}
	g.AWS = true
}

// AppendGENEVE appends a header without options, or, if g.AWS is set, with the
// three options of a Gateway Load Balancer.
func AppendGENEVE(b []byte, g GENEVE) []byte {
	var words byte
	if g.AWS {
		words = 8
	}
	b = append(b, words, 0)
	b = binary.BigEndian.AppendUint16(b, g.Protocol)
	b = binary.BigEndian.AppendUint32(b, g.VNI<<8)
	if !g.AWS {
		return b
	}
	b = binary.BigEndian.AppendUint64(append(b, awsClass>>8, awsClass&0xff, awsEndpoint, 2), g.Endpoint)
	b = binary.BigEndian.AppendUint64(append(b, awsClass>>8, awsClass&0xff, awsAttachment, 2), g.Attachment)
	return binary.BigEndian.AppendUint32(append(b, awsClass>>8, awsClass&0xff, awsCookie, 1), g.Cookie)
}
