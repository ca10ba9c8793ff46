package spool

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// MaxEvent is the size in bytes of the largest event.
const MaxEvent = 1 << 20

// A segment begins with the magic, version (4 bytes), number (8) and id (16).
// A record is CRC-32C of what follows (4), length of the event (4), nanoseconds
// since 1970 (8), event.
const (
	magic       = "PSPL"
	version     = 1
	idSize      = 16 // hexadecimal digits
	headerSize  = 4 + 4 + 8 + idSize
	recordSize  = 4 + 4 + 8
	longestHead = recordSize + MaxEvent

	// Overhead is what an event takes in bytes beside its own.
	Overhead = recordSize
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	errShort   = errors.New("record is incomplete")
	errCorrupt = errors.New("record is corrupt")
)

func appendHeader(b []byte, number uint64, id string) []byte {
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint32(b, version)
	b = binary.LittleEndian.AppendUint64(b, number)
	return append(b, id...)
}

// parseHeader returns the id in a segment's header.
func parseHeader(b []byte, number uint64) (id string, ok bool) {
	if len(b) < headerSize || string(b[:4]) != magic ||
		binary.LittleEndian.Uint32(b[4:]) != version || binary.LittleEndian.Uint64(b[8:]) != number {
		return "", false
	}
	for _, c := range b[16:headerSize] {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return "", false
		}
	}
	return string(b[16:headerSize]), true
}

func appendRecord(b []byte, event []byte, at int64) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(event)))
	b = binary.LittleEndian.AppendUint64(b, uint64(at))
	b = append(b, event...)
	binary.LittleEndian.PutUint32(b[start:], crc32.Checksum(b[start+4:], castagnoli))
	return b
}

// parseRecord returns the event that b begins with, its time, and the length of
// the record. With errShort that is the length needed, with errCorrupt what the
// record says of itself, or 0 if that cannot be.
func parseRecord(b []byte) (event []byte, at int64, n int, err error) {
	if len(b) < recordSize {
		return nil, 0, recordSize, errShort
	}
	length := binary.LittleEndian.Uint32(b[4:])
	if length == 0 || length > MaxEvent {
		return nil, 0, 0, errCorrupt
	}
	n = recordSize + int(length)
	if len(b) < n {
		return nil, 0, n, errShort
	}
	if crc32.Checksum(b[4:n], castagnoli) != binary.LittleEndian.Uint32(b) {
		return nil, 0, n, errCorrupt
	}
	return b[recordSize:n:n], int64(binary.LittleEndian.Uint64(b[8:])), n, nil
}
