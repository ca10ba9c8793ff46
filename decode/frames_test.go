package decode_test

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"

	"github.com/periscope-collector/periscope/packet"
)

// A fixture is a frame named for its quirk, and what decode makes of it.
type fixture struct {
	name   string
	frame  string // in hexadecimal; see wire
	want   packet.Header
	length int // real length found; 0 means that of the frame
}

func fixtures() []fixture {
	return slices.Concat(linkFrames, ipv4Frames, ipv6Frames, transportFrames)
}

// named returns the bytes of a fixture, or panics.
func named(name string) []byte {
	for _, f := range fixtures() {
		if f.name == name {
			return wire(f.frame)
		}
	}
	panic("no fixture named " + name)
}

// wire reads bytes in hexadecimal, blanks and comments to the end of the line
// left out. The result has no spare capacity.
func wire(text string) []byte {
	var digits strings.Builder
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "//")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		panic(err)
	}
	return slices.Clip(b)
}

func addr(s string) packet.Addr { return packet.AddrFrom(netip.MustParseAddr(s)) }

// The two ends of most fixtures.
var (
	a4, b4 = addr("10.0.0.1"), addr("10.0.0.2")
	a6, b6 = addr("2001:db8::1"), addr("2001:db8::2")
)
