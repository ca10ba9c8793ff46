package decode_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/internal/judge"
	"github.com/periscope-collector/periscope/packet"
)

// tshark and decode read the same of every stack, whole and cut anywhere.
func TestTsharkAgrees(t *testing.T) {
	const frames = 100_000
	random := rand.New(rand.NewPCG(3, 4))
	stacks := traffic.NewStacks(5)
	if n := stacks.Cycle(); n > frames/10 {
		t.Fatalf("a cycle is %d frames: too few of each stack in %d", n, frames)
	}
	agree(t, frames, func(i int) ([]byte, int) {
		frame := stacks.Next()
		length := len(frame)
		if i%4 == 3 {
			// Mostly in the headers.
			frame = frame[:random.IntN(min(len(frame), 160))]
		}
		return frame, length
	})
}

// tshark and decode read the same of the fixtures that are in order.
func TestTsharkAgreesOnFixtures(t *testing.T) {
	var good []fixture
	for _, c := range fixtures() {
		// Of what is left to the network card, tshark guesses.
		if c.want.Anomaly == packet.NoAnomaly && (c.want.IPLength != 0 || c.want.Version == 0) {
			good = append(good, c)
		}
	}
	agree(t, len(good), func(i int) ([]byte, int) {
		data := wire(good[i].frame)
		return data, max(len(data), good[i].length)
	})
}

// agree writes frames, each with its length on the wire, into a file, and has it
// judged.
func agree(t *testing.T, frames int, next func(i int) ([]byte, int)) {
	t.Helper()
	b := traffic.AppendPcapHeader(nil, traffic.LinkEthernet)
	for i := range frames {
		data, length := next(i)
		b = traffic.AppendPcapRecord(b, int64(i)*1000, data, length)
	}
	path := filepath.Join(t.TempDir(), "frames.pcap")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if n := judge.Compare(t, path); n != frames {
		t.Errorf("%d frames compared, want %d", n, frames)
	}
}
