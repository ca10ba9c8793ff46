package judge

import (
	"testing"

	"github.com/periscope-collector/periscope/bench/traffic"
)

// TestToolsAgree holds the judges of flows against what was made.
func TestToolsAgree(t *testing.T) {
	c := traffic.ConversationsConfig{Seed: 3, Flows: 1000, Frames: 50_000}
	path, made := Converse(t, c)
	truth := Conversations(t, path)
	if truth.Frames != c.Frames || len(truth.Split) == 0 {
		t.Errorf("tshark reads %d frames, fragments between %d ends; want %d, and some", truth.Frames, len(truth.Split), c.Frames)
	}
	CompareFlows(t, "tshark", truth.Flows, made.Fold(truth.Split))
	for name, tool := range Tools {
		t.Run(name, func(t *testing.T) { CompareFlows(t, name, tool(t, path, &truth), truth.Flows) })
	}
}
