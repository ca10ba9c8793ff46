package pcap

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/sink/dir"
)

// Every byte of a file but the last is asked for once, in pieces that are worth
// it, and what finds the queue full is asked for later.
func TestWriteback(t *testing.T) {
	const mib = 1 << 20
	w := &writer{sink: new(Sink), writeback: make(chan writeback, 2)}
	f := &file{path: "p"}
	var got []writeback
	take := func() {
		for len(w.writeback) > 0 {
			got = append(got, <-w.writeback)
		}
	}
	w.grow(f, 8*mib-1) // one byte too few
	take()
	w.grow(f, 1)
	w.grow(f, 5*mib)
	w.grow(f, 3*mib+mib/2)
	w.grow(f, 8*mib) // the queue is full
	take()
	w.grow(f, 1)
	take()
	if want := []writeback{{"p", 0, 8 * mib}, {"p", 8 * mib, 8 * mib}, {"p", 16 * mib, 8 * mib}}; !slices.Equal(got, want) {
		t.Errorf("asked for %v, want %v", got, want)
	}
}

// Once the sink is closing the disk is asked for nothing: the file is not opened.
func TestWritebackEndsWithClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if _, err := unix.InotifyAddWatch(fd, path, unix.IN_OPEN); err != nil {
		t.Fatal(err)
	}
	closing := make(chan struct{})
	opened := func() bool {
		jobs := make(chan writeback, 1)
		jobs <- writeback{path, 0, 1 << 20}
		close(jobs)
		writeBack(jobs, closing)
		n, _ := unix.Read(fd, make([]byte, 1024))
		return n > 0
	}
	if !opened() {
		t.Error("not opened")
	}
	close(closing)
	if opened() {
		t.Error("opened while closing")
	}
}

// A FIFO in place of a file holds nobody up that opens it by its name.
func TestFIFOInPlaceOfAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file.pcap.partial")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	jobs := make(chan writeback, 1)
	jobs <- writeback{path, 0, 1 << 20}
	close(jobs)
	writeBack(jobs, nil)
	if err := (syncJob{path, false, new(durable)}).run(unix.Fdatasync); err == nil {
		t.Error("synced")
	}
	if _, err := (job{partial: path, durable: new(durable)}).settle(unix.Fdatasync); !errors.Is(err, dir.ErrGone) {
		t.Errorf("complete: %v", err)
	}
}
