package decode

import (
	"testing"

	"github.com/periscope-collector/periscope/packet"
)

// plainFrame is TCP over IPv4: 12 bytes of options, 4 of payload, 2 of padding.
var plainFrame = []byte{
	2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00,
	0x45, 0, 0, 56, 0x12, 0x34, 0x40, 0, 64, 6, 0, 0, 10, 0, 1, 23, 198, 18, 0, 1,
	0xc0, 0x01, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x80, 0x18, 1, 0, 0, 0, 0, 0,
	1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 'd', 'a', 't', 'a', 0, 0,
}

// comparePlain holds plainTCP to the functions that read layer by layer, and
// reports whether it read the frame.
func comparePlain(t *testing.T, frame []byte) bool {
	t.Helper()
	var got, want packet.Header
	if !plainTCP(&got, frame) {
		if got != want {
			t.Fatalf("%x: not read, and left behind %+v", frame, got)
		}
		return false
	}
	if want.Anomaly = ethernet(&want, frame); got != want {
		t.Fatalf("%x:\n got %+v\nwant %+v", frame, got, want)
	}
	return true
}

// TestPlainTCPAgrees tries every length of a frame, and every value of every
// byte of its headers.
func TestPlainTCPAgrees(t *testing.T) {
	if !comparePlain(t, plainFrame) {
		t.Fatal("a plain frame was not read")
	}
	const headers = plainLen + 12
	for n := range plainFrame {
		if read := comparePlain(t, plainFrame[:n]); read != (n >= headers) {
			t.Errorf("%d bytes: read %v", n, read)
		}
	}
	for at := range headers {
		frame := append([]byte(nil), plainFrame...)
		for value := range 256 {
			frame[at] = byte(value)
			comparePlain(t, frame)
		}
	}
}

func FuzzPlainTCP(f *testing.F) {
	f.Add(plainFrame)
	f.Fuzz(func(t *testing.T, frame []byte) { comparePlain(t, frame) })
}
