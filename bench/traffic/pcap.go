package traffic

import (
	"encoding/binary"
	"time"
)

// LinkEthernet is the link type of Ethernet in a capture file.
const LinkEthernet = 1

// AppendPcapHeader appends the header of a little-endian nanosecond pcap file.
func AppendPcapHeader(b []byte, linkType uint32) []byte {
	b = binary.LittleEndian.AppendUint32(b, 0xa1b23c4d)
	b = append(b, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, 262144) // snap length
	return binary.LittleEndian.AppendUint32(b, linkType)
}

// AppendPcapRecord appends a packet. ns is its time in nanoseconds since 1970
// UTC; length is its real length in bytes, more than len(data) if it was cut.
func AppendPcapRecord(b []byte, ns int64, data []byte, length int) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(ns/int64(time.Second)))
	b = binary.LittleEndian.AppendUint32(b, uint32(ns%int64(time.Second)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
	b = binary.LittleEndian.AppendUint32(b, uint32(length))
	return append(b, data...)
}
