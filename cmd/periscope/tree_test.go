package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"github.com/periscope-collector/periscope/bench/traffic"
)

// A captureFile is a file that the collector wrote, as gopacket reads it.
type captureFile struct {
	path    string // below the directory
	session string
	partial bool
	whole   bool // nothing is behind the last record
	records []captureRecord
}

type captureRecord struct {
	time   time.Time
	data   []byte
	length int
}

// readTree reads every capture file below a directory, by name, and checks what
// holds for each: a nanosecond pcap, whole unless it is partial. There is
// nothing else in the directory.
func readTree(t testing.TB, dir string) (files []captureFile) {
	t.Helper()
	for path, data := range treeData(t, dir) {
		if filepath.Base(path) == ".lock" {
			continue
		}
		files = append(files, readCapture(t, path, data))
	}
	slices.SortFunc(files, func(a, b captureFile) int { return strings.Compare(a.path, b.path) })
	return files
}

// treeFiles returns the hash of every file below a directory.
func treeFiles(t testing.TB, dir string) map[string][32]byte {
	t.Helper()
	files := make(map[string][32]byte)
	for name, data := range treeData(t, dir) {
		files[name] = sha256.Sum256(data)
	}
	return files
}

// treeData returns what is in every file below a directory. A collector that
// writes there gives files other names: then it looks again.
func treeData(t testing.TB, dir string) (files map[string][]byte) {
	t.Helper()
	eventually(t, "every file of "+dir+" can be read", func() bool {
		files = make(map[string][]byte)
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			name, err := filepath.Rel(dir, path)
			if err != nil {
				return err
			}
			files[name], err = os.ReadFile(path)
			return err
		})
		if err != nil && (!errors.Is(err, fs.ErrNotExist) || !isExist(dir)) {
			t.Fatal(err)
		}
		return err == nil
	})
	return files
}

func readCapture(t testing.TB, path string, data []byte) captureFile {
	t.Helper()
	f := captureFile{path: path, session: filepath.Dir(path), partial: strings.HasSuffix(path, ".pcap.partial")}
	if len(data) == 0 && f.partial {
		f.whole = true
		return f
	}
	r, err := pcapgo.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if r.LinkType() != layers.LinkTypeEthernet || data[0] != 0x4d {
		t.Errorf("%s: link type %s, magic number %x", path, r.LinkType(), data[:4])
	}
	for err == nil {
		var rec captureRecord
		packet, info, e := r.ReadPacketData()
		if err = e; err == nil {
			rec.time, rec.data, rec.length = info.Timestamp, packet, info.Length
			f.records = append(f.records, rec)
		}
	}
	f.whole = err == io.EOF
	if !f.whole && !errors.Is(err, io.ErrUnexpectedEOF) || !f.whole && !f.partial {
		t.Errorf("%s: %d records, then %v", path, len(f.records), err)
	}
	if !f.partial && len(f.records) == 0 {
		t.Errorf("%s: complete without a record", path)
	}
	return f
}

// records returns how many records the files hold.
func records(files []captureFile) (n int) {
	for _, f := range files {
		n += len(f.records)
	}
	return n
}

// noPartial checks that every file is complete.
func noPartial(t testing.TB, files []captureFile) {
	t.Helper()
	for _, f := range files {
		if f.partial {
			t.Errorf("%s is left", f.path)
		}
	}
}

// sequences returns how often each sequence number is in the files of the given
// sessions, or of all.
func sequences(t testing.TB, files []captureFile, sessions ...string) map[uint64]int {
	t.Helper()
	seen := make(map[uint64]int)
	for _, f := range files {
		if len(sessions) > 0 && !slices.Contains(sessions, f.session) {
			continue
		}
		for i, r := range f.records {
			n, ok := traffic.Sequence(r.data)
			if !ok {
				t.Fatalf("%s: record %d is not a frame that was sent", f.path, i)
			}
			seen[n]++
		}
	}
	return seen
}

// once checks that no sequence number is there twice, and that all of the given
// range are.
func once(t testing.TB, seen map[uint64]int, from, to int) {
	t.Helper()
	if n := missing(seen, from, to); n > 0 {
		t.Errorf("%d of the frames %d to %d are missing", n, from, to-1)
	}
	for _, n := range slices.Sorted(maps.Keys(seen)) {
		if seen[n] > 1 {
			t.Errorf("frame %d is there %d times", n, seen[n])
			return
		}
	}
}

// missing returns how many sequence numbers of the given range are not there.
func missing(seen map[uint64]int, from, to int) (n int) {
	for i := from; i < to; i++ {
		if seen[uint64(i)] == 0 {
			n++
		}
	}
	return n
}

// inOrder checks that the times in each file ascend.
func inOrder(t testing.TB, files []captureFile) {
	t.Helper()
	for _, f := range files {
		for i := 1; i < len(f.records); i++ {
			if f.records[i].time.Before(f.records[i-1].time) {
				t.Errorf("%s: record %d is older than the one before", f.path, i)
				break
			}
		}
	}
}
