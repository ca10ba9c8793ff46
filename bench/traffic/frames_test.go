package traffic

import (
	"bytes"
	"testing"
)

func TestFramesAreDeterministic(t *testing.T) {
	a, b := NewFrames(FramesConfig{Seed: 7}), NewFrames(FramesConfig{Seed: 7})
	other := NewFrames(FramesConfig{Seed: 8})
	differ := false
	for i := range 1000 {
		x := a.Next()
		if !bytes.Equal(x, b.Next()) {
			t.Fatalf("frame %d differs with the same seed", i)
		}
		differ = differ || !bytes.Equal(x, other.Next())
	}
	if !differ {
		t.Error("another seed gives the same frames")
	}
}

func TestFramesHaveTheSizeAskedFor(t *testing.T) {
	for _, size := range []Size{64, 65, 71, 72, 83, 84, 85, 1514, 9000, 9001} {
		g := NewFrames(FramesConfig{Size: size})
		for i := range uint64(500) {
			frame := g.Next()
			if len(frame) != int(size) {
				t.Fatalf("size %d: frame %d has %d bytes", size, i, len(frame))
			}
			if n, ok := Sequence(frame); !ok || n != i {
				t.Fatalf("size %d: frame %d has sequence number %d, %v", size, i, n, ok)
			}
		}
	}
}

func BenchmarkFramesAppend(b *testing.B) {
	for _, size := range []Size{64, IMIX, 1514, 9001} {
		b.Run(size.String(), func(b *testing.B) {
			g := NewFrames(FramesConfig{Size: size})
			buf := make([]byte, 0, MaxSize)
			b.ReportAllocs()
			var n int64
			for b.Loop() {
				buf = g.Append(buf[:0])
				n += int64(len(buf))
			}
			b.SetBytes(n / int64(b.N))
		})
	}
}
