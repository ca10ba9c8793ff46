package main

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/internal/judge"
)

// Flow logs of a file say what is in it and what tshark, nfpcapd, softflowd and
// argus say: the same packets and bytes of every conversation, summed up over the
// file. Tshark decides; where the others count in ways of their own, package
// judge says how that was made up for. No difference is left.
func TestReplayFlowsAgreeWithOtherPrograms(t *testing.T) {
	judgeFlows(t, traffic.ConversationsConfig{Seed: 5, Flows: 1000, Frames: 50_000})
}

func judgeFlows(t *testing.T, c traffic.ConversationsConfig) {
	t.Helper()
	path, made := judge.Converse(t, c)
	ours := make(map[string]judge.Flows)
	for format, extra := range map[string]string{"json": "", "text": fmt.Sprintf(", fields: %q", judge.Fields)} {
		dir := t.TempDir()
		config := writeFile(t, filepath.Join(dir, "periscope.yaml"),
			fmt.Appendf(nil, "sinks: {flowlog: {dir: flows, format: %s, interval: 10s%s}}\n", format, extra))
		r := runWith(t, nil, "replay", "--config", config, "--bare-vni", "7", path)
		if r.code != 0 {
			t.Fatalf("replay: status %d\n%s", r.code, r.stderr)
		}
		ours[format] = judge.SumLines(judge.FlowLogs(t, filepath.Join(dir, "flows")))
		judge.CompareFlows(t, format+" against what was made", ours[format], made)
	}
	truth := judge.Conversations(t, path)
	if truth.Frames != c.Frames {
		t.Errorf("tshark reads %d frames, want %d", truth.Frames, c.Frames)
	}
	for format, flows := range ours {
		judge.CompareFlows(t, format+" against tshark", flows.Fold(truth.Split), truth.Flows)
	}
	for name, tool := range judge.Tools {
		t.Run(name, func(t *testing.T) {
			judge.CompareFlows(t, name+" against tshark", tool(t, path, &truth), truth.Flows)
		})
	}
}
