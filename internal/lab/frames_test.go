package lab_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
)

// A frame is a packet record of a capture file.
type frame struct {
	time   time.Time
	length int // on the wire
	data   []byte
}

// readFrames returns the packets of the files in order. A last record that is
// still being written is left out.
func readFrames(t *testing.T, files ...string) []frame {
	t.Helper()
	var frames []frame
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		r, err := pcapgo.NewReader(bytes.NewReader(b))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for {
			data, info, err := r.ReadPacketData()
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: after %d packets: %v", name, len(frames), err)
			}
			frames = append(frames, frame{info.Timestamp, info.Length, data})
		}
	}
	return frames
}

// compare fails the test unless got holds the frames of want, whole, and each
// direction of a flow in the same order. Flows sent from different processors
// have no order between them.
func compare(t *testing.T, name string, got, want []frame) {
	t.Helper()
	gotFlows, wantFlows := split(got), split(want)
	t.Logf("%s: %d frames of %d flow directions, %d on the interface", name, len(got), len(gotFlows), len(want))
	if len(got) != len(want) || len(got) == 0 {
		t.Errorf("%s: %d frames, and the interface saw %d", name, len(got), len(want))
	}
	for flow := range gotFlows {
		if wantFlows[flow] == nil {
			t.Errorf("%s: the interface saw nothing of %s", name, flow)
		}
	}
	for flow, want := range wantFlows {
		if err := sameFrames(gotFlows[flow], want); err != nil {
			t.Errorf("%s: %s: %v", name, flow, err)
		}
	}
}

func sameFrames(got, want []frame) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d frames, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i].length != len(want[i].data) {
			return fmt.Errorf("frame %d: real length %d, want %d", i, got[i].length, len(want[i].data))
		}
		if !bytes.Equal(got[i].data, want[i].data) {
			return fmt.Errorf("frame %d differs:\n got %x\nwant %x", i, got[i].data, want[i].data)
		}
	}
	return nil
}

// split sorts frames by the direction of a flow they belong to.
func split(frames []frame) map[string][]frame {
	flows := make(map[string][]frame)
	for _, f := range frames {
		p := gopacket.NewPacket(f.data, layers.LayerTypeEthernet, gopacket.NoCopy)
		key := p.LinkLayer().LinkFlow().String()
		if network := p.NetworkLayer(); network != nil {
			key += " " + network.NetworkFlow().String()
		}
		switch last := p.Layers()[min(2, len(p.Layers())-1)].(type) {
		case gopacket.TransportLayer:
			key += " " + last.LayerType().String() + " " + last.TransportFlow().String()
		case *layers.ICMPv6:
			key += " " + last.TypeCode.String()
		default:
			key += " " + last.LayerType().String()
		}
		flows[key] = append(flows[key], f)
	}
	return flows
}
