package judge

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/periscope-collector/periscope/bench/traffic"
)

// conversations writes a file of whole conversations at 20,000 frames a second,
// and returns what is in it.
func conversations(t *testing.T, c traffic.ConversationsConfig) (path string, made Flows) {
	t.Helper()
	g := traffic.NewConversations(c)
	b := traffic.AppendPcapHeader(nil, traffic.LinkEthernet)
	for n := int64(0); ; n++ {
		frame := g.Next()
		if frame == nil {
			break
		}
		b = traffic.AppendPcapRecord(b, 1_767_225_600_000_000_000+n*50_000, frame, len(frame))
	}
	path = filepath.Join(t.TempDir(), "conversations.pcap")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, Made(g)
}

// TestToolsAgree holds the judges of flows against what was made.
func TestToolsAgree(t *testing.T) {
	c := traffic.ConversationsConfig{Seed: 3, Flows: 1000, Frames: 50_000}
	path, made := conversations(t, c)
	truth := Conversations(t, path)
	if truth.Frames != c.Frames || len(truth.Split) == 0 {
		t.Errorf("tshark reads %d frames, fragments between %d ends; want %d, and some", truth.Frames, len(truth.Split), c.Frames)
	}
	CompareFlows(t, "tshark", truth.Flows, made.Fold(truth.Split))
	for name, tool := range Tools {
		t.Run(name, func(t *testing.T) { CompareFlows(t, name, tool(t, path, &truth), truth.Flows) })
	}
}
