package spool

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// What nobody reads outlives a kill 50 ms later, and is synced 200 ms later, if Config
// says nothing else.
func TestWrittenSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(Config{Dir: t.TempDir(), Size: sizeMin})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		put(t, s, "a")
		time.Sleep(50 * time.Millisecond)
		synctest.Wait()
		left := filepath.Join(t.TempDir(), "left")
		if err := os.CopyFS(left, os.DirFS(s.cfg.Dir)); err != nil {
			t.Fatal(err)
		}
		equal(t, drain(t, open(t, Config{Dir: left})), "a")
		if st := s.Stats(); st.Syncs != 0 {
			t.Errorf("synced already: %+v", st)
		}
		time.Sleep(150 * time.Millisecond)
		synctest.Wait()
		if st := s.Stats(); st.Syncs != 1 {
			t.Errorf("%+v, want one sync", st)
		}
	})
}
