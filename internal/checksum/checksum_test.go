package checksum

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// plain is RFC 1071, section 4.1, word by word.
func plain(s uint64, b []byte) uint64 {
	for ; len(b) >= 2; b = b[2:] {
		s += uint64(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		s += uint64(b[0]) << 8
	}
	return s
}

func TestSumIsThatOfTheWords(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	full := make([]byte, 300)
	for i := range full {
		full[i] = 0xff
	}
	for n := range 300 {
		random := make([]byte, n)
		for i := range random {
			random[i] = byte(r.Uint32())
		}
		for _, b := range [][]byte{random, full[:n], make([]byte, n)} {
			for _, start := range []uint64{0, 1, 0xffff, 0x12345, 1 << 32} {
				if got, want := Fold(Sum(start, b)), Fold(plain(start, b)); got != want {
					t.Fatalf("%d bytes from %#x: %#04x, want %#04x", n, start, got, want)
				}
			}
		}
	}
	if n := testing.AllocsPerRun(10, func() { Sum(0, full) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A sum may be taken in pieces, all but the last of even length.
func TestSumOfPieces(t *testing.T) {
	b := []byte("the quick brown fox jumps over the lazy dog, twice, and then once more")
	want := Fold(Sum(0, b))
	for i := 0; i <= len(b); i += 2 {
		if got := Fold(Sum(Sum(0, b[:i]), b[i:])); got != want {
			t.Errorf("cut at %d: %#04x, want %#04x", i, got, want)
		}
	}
}

func BenchmarkSum(b *testing.B) {
	data := make([]byte, 1448)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		Sum(0, data)
	}
}
