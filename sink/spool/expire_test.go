package spool

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/periscope-collector/periscope/packet"
)

// What is too old is dropped when nobody reads, and makes room.
func TestExpireUnread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, Config{Dir: t.TempDir(), Age: time.Minute, SyncEvery: 200 * time.Millisecond})
		event := make([]byte, 100<<10)
		n := uint64(0)
		for ; s.Append(event) == nil; n++ {
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if st := s.Stats(); st.Pending != int(n) {
			t.Errorf("dropped before it is too old: %+v", st)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if st := s.Stats(); st.Dropped[packet.DropExpired] != n || st.Pending != 0 || st.Bytes > sizeMin/4 {
			t.Errorf("%d events, %+v", n, st)
		}
		put(t, s, "a")
		time.Sleep(time.Second)
		synctest.Wait()
		equal(t, drain(t, s), "a")
	})
}

// Only what nobody has expires, and what is behind the first that is not too
// old stays whole.
func TestExpireStopsAtTheFirstThatIsNotTooOld(t *testing.T) {
	now := time.Unix(1000, 0)
	s := open(t, Config{Dir: t.TempDir(), Age: time.Minute, Now: func() time.Time { return now }})
	put(t, s, "a", "b")
	a := read(t, s, 1)
	now = now.Add(time.Second)
	put(t, s, "c", "d", "e")
	s.Sync()
	now = now.Add(time.Minute)
	for range 3 {
		s.expire()
	}
	if st := s.Stats(); st.Dropped[packet.DropExpired] != 1 || st.Pending != 4 || len(s.todo) > 2 ||
		s.todo[0].since != time.Unix(1001, 0).UnixNano() { // or it would be looked at again and again
		t.Errorf("%+v, %+v", st, s.todo)
	}
	s.Commit(a)
	equal(t, drain(t, s), "c", "d", "e")
}
