package bench

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/pipeline"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/record"
	"github.com/periscope-collector/periscope/sink"
	"github.com/periscope-collector/periscope/sink/pcap"
)

// captures is a sink of frames as the program has it, but that it waits for room
// as in a replay, so that its writer is part of what is measured.
func captures(b *testing.B) pipeline.Sink {
	dir := tmpfs(b)
	sweep(b, dir)
	s, err := pcap.Open(pcap.Config{
		Dir: dir, Workers: 1, Replay: true, Log: slog.New(slog.DiscardHandler),
		Rotate: pcap.Rotate{Size: 64 << 20},
	})
	if err != nil {
		b.Fatal(err)
	}
	return pipeline.Sink{Name: "pcap", Sink: s}
}

// tmpfs returns a directory that no disk slows down, if there is one.
func tmpfs(b *testing.B) string {
	dir, err := os.MkdirTemp("/dev/shm", "periscope-bench-")
	if err != nil {
		return b.TempDir()
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// sweep removes completed files now and then, so that a long run does not fill
// the memory.
func sweep(b *testing.B, dir string) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				files, _ := filepath.Glob(filepath.Join(dir, "*", "*.pcap"))
				for _, f := range files {
					os.Remove(f)
				}
			}
		}
	}()
	b.Cleanup(func() {
		close(done)
		<-ended
	})
}

// noRecords takes flow records and forgets them.
func noRecords(*testing.B) pipeline.Sink { return pipeline.Sink{Name: "none", Sink: new(records)} }

// events makes an event for Splunk of each flow record, and forgets it.
func events(*testing.B) pipeline.Sink {
	return pipeline.Sink{Name: "events", Sink: &records{
		events: record.NewEvents(record.EventConfig{Host: "collector-1", FlowIndex: "network"}),
	}}
}

// records takes flow records, and makes events of them if it knows how.
type records struct {
	events *record.Events
	event  []byte
	n      uint64
}

func (s *records) Flow(_ int, r *packet.Flow) {
	s.n++
	if s.events != nil {
		s.event = s.events.AppendFlow(s.event[:0], r, []byte("0123456789abcdef-17-1048576"))
	}
}

func (s *records) Mark(int, int64, int64)      {}
func (s *records) Cut(int, packet.Cut)         {}
func (s *records) Settle(context.Context)      {}
func (s *records) Close(context.Context) error { return nil }
func (s *records) Ledger() sink.Ledger         { return sink.Ledger{Offered: s.n, Stored: s.n} }
