package record_test

import (
	"testing"

	"github.com/periscope-collector/periscope/record"
)

func BenchmarkEvent(b *testing.B) {
	events := record.NewEvents(record.EventConfig{Host: "collector-1", FlowIndex: "network"})
	r, dst, uid := web(), make([]byte, 0, 4096), []byte("0123456789abcdef-17-1048576")
	from := frameOf(b, tcpTagged)
	var frame record.Frame
	for _, bench := range []struct {
		name string
		run  func()
	}{
		{"flow", func() { dst = events.AppendFlow(dst[:0], r, uid) }},
		{"communityid", func() { dst = record.AppendCommunityID(dst[:0], r) }},
		{"frame", func() { frame.Set(from, 0); dst = events.AppendFrame(dst[:0], &frame, uid) }},
		{"vpcflow", func() { dst = events.AppendVPCFlow(dst[:0], r, 0, uid) }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bench.run()
			}
			b.ReportMetric(float64(len(dst)), "bytes")
		})
	}
}
