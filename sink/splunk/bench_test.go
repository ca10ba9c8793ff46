package splunk

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// BenchmarkFlows is the whole way of a flow record: queue, event, spool on disk,
// gzip and HTTP to a server in the same process that reads and discards.
func BenchmarkFlows(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, `{"text":"Success","code":0}`)
	}))
	defer server.Close()
	c := newConfig(b, server.URL)
	c.Size, c.Replay, c.Log = 256<<20, true, nil
	c.linger = linger
	s := open(b, c)
	r := flow(1000)
	b.ReportAllocs()
	b.ResetTimer()
	for n := range b.N {
		s.Flow(0, r)
		if n%256 == 255 {
			s.Mark(0, 0, time.Now().UnixNano())
		}
	}
	s.Mark(0, 0, time.Now().UnixNano())
	if err := s.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
	if l := s.Ledger(); l.Stored != uint64(b.N) {
		b.Fatalf("%+v", l)
	}
	var raw, wire uint64
	for _, e := range s.Stats().HEC.Endpoints {
		raw, wire = raw+e.RawBytes, wire+e.WireBytes
	}
	b.ReportMetric(float64(raw)/float64(b.N), "B/event")
	b.ReportMetric(float64(wire)/float64(b.N), "wireB/event")
}
