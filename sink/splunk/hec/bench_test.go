package hec_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/sink/splunk/hec"
)

// A receiver answers at once and keeps nothing, until it is silent.
type receiver struct {
	taken  atomic.Int64 // requests
	silent atomic.Bool
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	io.Copy(io.Discard, req.Body)
	if r.silent.Load() {
		<-req.Context().Done()
		return
	}
	r.taken.Add(1)
	io.WriteString(w, `{"text":"Success","code":0}`)
}

// BenchmarkBlackHole delivers requests of 900 KB from 16 goroutines to a healthy
// endpoint alone, and beside one that turned silent when its window was open. The
// ratio is that of the requests per second.
func BenchmarkBlackHole(b *testing.B) {
	event := []byte(`{"time":1767323045.123456,"host":"collector","sourcetype":"periscope:flow","event":{"src_ip":"10.0.1.17","dest_ip":"10.0.2.3","bytes":48211,"packets":97}}`)
	n := 900_000 / len(event)
	r := hec.Request{Events: slices.Repeat([][]byte{event}, n)}
	var alone, beside time.Duration
	for b.Loop() {
		alone += deliver(b, r, false)
		beside += deliver(b, r, true)
	}
	b.ReportMetric(float64(alone)/float64(beside), "ratio")
	b.ReportMetric(float64(len(r.Events))*requests*float64(b.N)/beside.Seconds(), "events/s")
}

// requests are those of one measurement.
const requests = 500

// deliver returns how long the healthy endpoint takes for the requests.
func deliver(b *testing.B, r hec.Request, black bool) time.Duration {
	var healthy, other receiver
	cfg := hec.Config{TokenFile: write(b, "token", first)}
	for _, h := range []*receiver{&healthy, &other} {
		s := httptest.NewServer(h)
		defer s.Close()
		if h == &healthy || black {
			cfg.Endpoints = append(cfg.Endpoints, hec.Endpoint{URL: s.URL})
		}
	}
	c, err := hec.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	until := func(taken int64) time.Duration {
		ctx, cancel := context.WithCancel(b.Context())
		defer cancel()
		start := time.Now()
		var senders sync.WaitGroup
		for range 16 {
			senders.Go(func() {
				for healthy.taken.Load() < taken {
					slot, err := c.Acquire(ctx)
					if err != nil {
						return
					}
					slot.Send(ctx, r)
				}
				cancel()
			})
		}
		senders.Wait()
		return time.Since(start)
	}
	until(100) // opens the windows
	other.silent.Store(true)
	before := healthy.taken.Load()
	return until(before + requests)
}
