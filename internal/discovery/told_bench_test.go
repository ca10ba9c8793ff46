package discovery

import (
	"fmt"
	"testing"

	"github.com/periscope-collector/periscope/mirror/changes"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
)

// BenchmarkTelling tells 10,000 sessions 256 changes, of which half end.
func BenchmarkTelling(b *testing.B) {
	w := newWorld()
	var known []tenure
	for i := range 10_000 {
		e := session.Entry{Name: fmt.Sprint("web-", i), VNI: uint32(i + 1), Source: packet.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), Learned: true}
		e.Workload.InterfaceID, e.Workload.SessionID = fmt.Sprint("eni-", i), fmt.Sprint("tms-", i)
		known = append(known, tenure{Entry: e})
	}
	var batch []changes.Change
	for i := range 128 {
		created := saying("created", fmt.Sprint("x", i), "a", "10.0.0.1", uint32(i+1), 100)
		created.InterfaceID = fmt.Sprint("eni-x", i)
		deleted := created
		deleted.Kind = changes.Deleted
		batch = append(batch, created, deleted)
	}
	b.ReportAllocs()
	for b.Loop() {
		w.telling(105).run(batch, known)
	}
}
