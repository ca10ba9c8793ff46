package spool

import (
	"encoding/binary"
	"sync"
	"testing"
	"time"
)

// One goroutine appends, four read, return every third batch and commit the
// rest, and it syncs all the while: every event is committed once.
func TestConcurrent(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir(), Size: 64 << 20, SegmentBytes: segmentMin, SyncEvery: time.Millisecond})
	const events = 20_000
	var mu sync.Mutex
	seen := make(map[uint32]int)
	var wg sync.WaitGroup
	all := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for n := 1; ; n++ {
				select {
				case <-s.Ready():
				case <-all:
					return
				}
				b, err := s.Read(50, 4<<10)
				if err != nil {
					t.Error(err)
					return
				}
				if b == nil {
					continue
				}
				if n%3 == 0 {
					s.Return(b)
					continue
				}
				mu.Lock()
				for _, e := range b.Events {
					seen[binary.LittleEndian.Uint32(e)]++
				}
				if len(seen) == events {
					close(all)
				}
				mu.Unlock()
				s.Commit(b)
			}
		})
	}
	for i := range uint32(events) {
		if err := s.Append(binary.LittleEndian.AppendUint32(nil, i)); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	for i, n := range seen {
		if n != 1 {
			t.Errorf("event %d was read %d times", i, n)
		}
	}
	if st := s.Stats(); st.Committed != events || st.Segments > 2 {
		t.Errorf("%+v", st)
	}
}
