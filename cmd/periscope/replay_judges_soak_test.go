//go:build soak

package main

import (
	"testing"

	"github.com/periscope-collector/periscope/bench/traffic"
)

// TestSoakReplayFlowsAgreeWithOtherPrograms is the test without "Soak" in its
// name on 2,000,000 frames: of conversations, and of flows that mostly have no
// more than two frames, as many as the table holds by default.
func TestSoakReplayFlowsAgreeWithOtherPrograms(t *testing.T) {
	for name, flows := range map[string]int{"conversations": 50_000, "scans": 1_000_000} {
		t.Run(name, func(t *testing.T) {
			judgeFlows(t, traffic.ConversationsConfig{Seed: 6, Flows: flows, Frames: 2_000_000})
		})
	}
}
