package flowlog

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"

	"github.com/klauspost/compress/flate"
)

// level is the effort of compression, of 1 to 9. A record as text takes 430 ns
// and 42 bytes at 1, 890 ns and 37 bytes at 6; as JSON 1.3 µs and 171 bytes at 1,
// 2.5 µs and 108 bytes at 6. A full table gives a record every 3 µs, and making
// the lines costs as much again, so speed it is (BenchmarkLevels).
const level = flate.BestSpeed

// gzipHeader begins a file: deflate, no time, no name, no system (RFC 1952,
// section 2.3), so that the same lines make the same bytes.
const gzipHeader = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"

// trailerLen is the length of what ends a file: an empty last block, CRC-32 and
// ISIZE.
const trailerLen = 2 + 4 + 4

// A boundary is a place in a gzip file where a deflate block begins at a whole
// byte, so that a trailer may follow, or the blocks of any further text that
// does not refer to what is before. The zero value is the begin of the file.
type boundary struct {
	offset int64  // in the file
	crc    uint32 // of the text up to here
	length uint32 // of the text up to here, modulo 2^32
}

// appendTrailer appends what makes the file end here.
func (b boundary) appendTrailer(dst []byte) []byte {
	dst = append(dst, 3, 0) // the last block: fixed codes, and the end of it at once (RFC 1951, section 3.2.6)
	dst = binary.LittleEndian.AppendUint32(dst, b.crc)
	return binary.LittleEndian.AppendUint32(dst, b.length)
}

// A compressor turns chunks of text into pieces of gzip files. One serves all
// files, since no piece refers to another; it takes 0.5 MiB, and room for a
// piece.
type compressor struct {
	out   bytes.Buffer
	flate *flate.Writer
}

func newCompressor(level int) *compressor {
	c := new(compressor)
	w, err := flate.NewWriter(&c.out, level)
	if err != nil {
		panic(err) // the level is a constant
	}
	c.flate = w
	return c
}

// extend returns the bytes to be written at b so that the file goes on with the
// texts and ends with a trailer, and the boundary before that trailer. The bytes
// are valid until the next call.
func (c *compressor) extend(b boundary, texts ...[]byte) ([]byte, boundary) {
	c.out.Reset()
	if b.offset == 0 {
		c.out.WriteString(gzipHeader)
	}
	c.flate.Reset(&c.out)
	for _, text := range texts {
		c.flate.Write(text) // a bytes.Buffer does not fail
		b.crc = crc32.Update(b.crc, crc32.IEEETable, text)
		b.length += uint32(len(text))
	}
	c.flate.Flush()
	b.offset += int64(c.out.Len())
	return b.appendTrailer(c.out.Bytes()), b
}
