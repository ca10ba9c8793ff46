package spool

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"
)

// Any bytes in a directory are opened and read to the end, and what is appended
// then is read as well. Look sees as many events as Open finds.
func FuzzOpen(f *testing.F) {
	seg := appendHeader(nil, 1, "0123456789abcdef")
	seg = appendRecord(seg, []byte("event"), 1)
	seg = appendRecord(seg, []byte("another"), 2)
	f.Add(seg, []byte("segment 1 32\ncrc 00000000\n"))
	f.Add(seg[:len(seg)-1], []byte{})
	f.Add(bytes.Repeat([]byte{0}, 100), []byte{})
	f.Fuzz(func(t *testing.T, segment, point []byte) {
		path := t.TempDir()
		for name, b := range map[string][]byte{"0000000000000001.spool": segment, checkpointName: point} {
			if err := os.WriteFile(filepath.Join(path, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		seen, _ := Look(path)
		s := open(t, Config{Dir: path})
		if found := s.Stats().Found; uint64(seen.Pending) != found {
			t.Errorf("seen %+v, found %d", seen, found)
		}
		put(t, s, "last")
		got := drain(t, s)
		if len(got) == 0 || got[len(got)-1] != "last" || s.Stats().Pending != 0 {
			t.Errorf("%q, %+v", got, s.Stats())
		}
	})
}

func FuzzCheckpoint(f *testing.F) {
	f.Add([]byte("segment 1 100\npending 1 32 60 1 5\n"))
	f.Fuzz(func(t *testing.T, lines []byte) {
		for _, point := range parseCheckpoint(fmt.Appendf(lines, "crc %08x\n", crc32.Checksum(lines, castagnoli))) {
			for _, sp := range point.pending {
				if sp.from >= sp.to || int64(sp.to) > point.size || sp.events < 1 {
					t.Errorf("%+v", sp)
				}
			}
		}
	})
}
