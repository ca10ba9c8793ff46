package pcap

import (
	"encoding/binary"
	"math"
)

// MaxSnap is the longest record, in bytes of frame: the snap length that
// tcpdump and Wireshark take as the most a sane file holds.
const MaxSnap = 262144

// The file format (draft-ietf-opsawg-pcap, section 4 and 5). Files are little
// endian on every machine, so that equal input gives equal bytes.
//
//	 0                   1                   2                   3
//	|          Magic 0xa1b23c4d: timestamps are in nanoseconds      |
//	|      Major version 2          |      Minor version 4          |
//	|                             0                                 |
//	|                             0                                 |
//	|                        Snap length                            |
//	|                 Link type 1 (Ethernet)                        |
//
// and for each record
//
//	|                    Seconds since 1970 UTC                     |
//	|                    Nanoseconds                                |
//	|                    Captured length                            |
//	|                    Original length                            |
const (
	fileHeader   = 24
	recordHeader = 16

	magicNanoseconds = 0xa1b23c4d
	linkEthernet     = 1
)

func newFileHeader(snapLen int) []byte {
	b := make([]byte, fileHeader)
	binary.LittleEndian.PutUint32(b, magicNanoseconds)
	binary.LittleEndian.PutUint16(b[4:], 2)
	binary.LittleEndian.PutUint16(b[6:], 4)
	binary.LittleEndian.PutUint32(b[16:], uint32(snapLen))
	binary.LittleEndian.PutUint32(b[20:], linkEthernet)
	return b
}

// putRecordHeader writes the header of a record. Seconds before 1970 or after
// 2106, which only a file can claim, are kept modulo 2³²; an original length
// above 2³²-1 becomes that. No header is all zero, since that is what a power
// failure leaves behind the last record: an empty frame at time 0 is said to be
// a nanosecond younger.
func putRecordHeader(b []byte, ns int64, captured, original int) {
	sec, nsec := ns/1e9, ns%1e9
	if nsec < 0 {
		sec, nsec = sec-1, nsec+1e9
	}
	if captured|original == 0 && uint32(sec) == 0 && nsec == 0 {
		nsec = 1
	}
	_ = b[recordHeader-1]
	binary.LittleEndian.PutUint32(b, uint32(sec))
	binary.LittleEndian.PutUint32(b[4:], uint32(nsec))
	binary.LittleEndian.PutUint32(b[8:], uint32(captured))
	binary.LittleEndian.PutUint32(b[12:], uint32(min(uint64(original), math.MaxUint32)))
}

// recordLength returns the length of the record whose header b begins with,
// header included, and whether this package could have written that header.
func recordLength(b []byte) (n int, ok bool) {
	_ = b[recordHeader-1]
	sec, nsec := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
	captured, original := binary.LittleEndian.Uint32(b[8:]), binary.LittleEndian.Uint32(b[12:])
	if captured > MaxSnap || captured > original || nsec >= 1e9 || sec|nsec|captured|original == 0 {
		return 0, false
	}
	return recordHeader + int(captured), true
}

// wholeRecords returns how many whole records the first n bytes of b hold, and
// how many bytes those take. b is records written by putRecordHeader.
func wholeRecords(b []byte, n int) (records, bytes int) {
	for bytes+recordHeader <= n {
		length := recordHeader + int(binary.LittleEndian.Uint32(b[bytes+8:]))
		if bytes+length > n {
			break
		}
		bytes += length
		records++
	}
	return records, bytes
}
