package tunnel

import "encoding/binary"

// VXLANPort is the UDP port of VXLAN (RFC 7348, section 5), the one AWS VPC
// Traffic Mirroring sends to.
const VXLANPort = 4789

// VXLANLen is the length of a VXLAN header in bytes.
const VXLANLen = 8

// A Fault says why bytes are not the header they should be. The zero value
// means that they are.
type Fault uint8

// The faults.
const (
	OK            Fault = iota
	VXLANShort          // fewer than VXLANLen bytes
	VXLANFlag           // I flag clear: the VNI is not valid
	GENEVEVersion       // version other than 0
	GENEVEOptions       // header or options run past the end
)

// VXLAN is a VXLAN header.
//
//	 0                   1                   2                   3
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//	|R|R|R|R|I|R|R|R|                    Reserved                   |
//	|                VXLAN Network Identifier       |    Reserved   |
type VXLAN struct {
	VNI uint32 // 24 bits

	// Reserved says that a bit which RFC 7348 reserves was set. It is ignored
	// on receipt, as section 5 asks; AWS sends 0.
	Reserved bool
}

// ParseVXLAN splits a UDP payload into its VXLAN header and the frame behind
// it. frame aliases b.
func ParseVXLAN(b []byte) (v VXLAN, frame []byte, fault Fault) {
	if len(b) < VXLANLen {
		return VXLAN{}, nil, VXLANShort
	}
	flags, id := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	if flags&0x08000000 == 0 {
		return VXLAN{}, nil, VXLANFlag
	}
	return VXLAN{VNI: id >> 8, Reserved: flags&^0x08000000 != 0 || id&0xff != 0}, b[VXLANLen:], OK
}

// AppendVXLAN appends the header of the given network identifier, of which the
// low 24 bits count, to b.
func AppendVXLAN(b []byte, vni uint32) []byte {
	return binary.BigEndian.AppendUint32(append(b, 0x08, 0, 0, 0), vni<<8)
}
