package record_test

import (
	"testing"

	"github.com/periscope-collector/periscope/record"
)

func BenchmarkRecord(b *testing.B) {
	ranges, err := record.LoadRanges("testdata/ip-ranges.json")
	if err != nil {
		b.Fatal(err)
	}
	r, dst := web(), make([]byte, 0, 4096)
	fields := parse(b, "")
	for _, bench := range []struct {
		name string
		run  func()
	}{
		{"text", func() { dst = fields.AppendFlow(dst[:0], r, 0) }},
		{"json", func() { dst = record.AppendJSON(dst[:0], r, nil) }},
		{"communityid", func() { dst = record.AppendCommunityID(dst[:0], r) }},
		{"service", func() { ranges.Service(r.Addr[1]) }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bench.run()
			}
		})
	}
}
