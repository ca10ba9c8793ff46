package pcap

import (
	"cmp"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// retainEvery is how often retention looks.
	retainEvery = 5 * time.Second

	// rescanEvery is how often it reads the directory again, to notice what
	// others removed, renamed or compressed. A scan of 100,000 files takes
	// some 0.3 s.
	rescanEvery = 10 * time.Minute

	// rateWindow is what the rate of writing is averaged over.
	rateWindow = 5 * time.Minute
)

// A kept is a complete file.
type kept struct {
	path      string
	size      int64
	completed int64 // ns since 1970 UTC: its time of modification
}

// A retainer knows the complete files and removes old ones. Its index takes
// some 150 bytes a file.
type retainer struct {
	sink *Sink
	log  *slog.Logger
	dir  string

	files   []kept // oldest first
	bytes   int64  // of files
	scanned time.Time
	unread  map[string]bool // directories that the last scan could not read
	failing bool

	// The rate of writing, in bytes a second.
	rate    float64
	written uint64
	started time.Time
	looked  time.Time

	mu    sync.Mutex
	added []kept // completed since the last look

	// unfinished is gauges.unfinishedBytes as of the last look: what is not in
	// it is in files, and the other way round.
	unfinished int64
}

func newRetainer(s *Sink, c *Config) *retainer {
	return &retainer{sink: s, log: c.Log, dir: c.Dir}
}

// add tells of a file that rename completes. Its bytes move from the sum of
// those unfinished to that of files at once: a look finds them in one of both.
// Any goroutine may call it.
func (r *retainer) add(f kept, rename func() error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := rename(); err != nil {
		return err
	}
	r.added = append(r.added, f)
	r.sink.gauges.unfinishedBytes.Add(-f.size)
	return nil
}

func (r *retainer) run(stop <-chan struct{}) {
	tick := time.NewTicker(retainEvery)
	defer tick.Stop()
	r.started = time.Now()
	r.looked = r.started
	for {
		r.look(time.Now())
		select {
		case <-tick.C:
		case <-stop:
			r.look(time.Now())
			return
		}
	}
}

// look brings the index up to date, removes what is to be removed, and shows
// what is left.
func (r *retainer) look(now time.Time) {
	if r.scanned.IsZero() || now.Sub(r.scanned) >= rescanEvery {
		r.scan()
		r.scanned = now
	}
	r.merge()
	limits := *r.sink.retain.Load()
	if limits != (Retain{}) {
		r.remove(limits, now)
	}
	r.measure(now)
	g := &r.sink.gauges
	g.retainedFiles.Store(int64(len(r.files)))
	g.retainedBytes.Store(r.bytes)
	g.retainedSeconds.Store(int64(r.reach(limits, now)))
}

// scan reads the directory. Only complete files of this package's naming count.
// What is in a directory that cannot be read does not; it is logged once.
func (r *retainer) scan() {
	r.files = r.files[:0]
	unread := make(map[string]bool)
	err := walk(r.dir, func(session, name string) {
		if _, _, rest, ok := parseName(session, name); !ok || rest != suffix {
			return
		}
		path := filepath.Join(r.dir, session, name)
		if fi, err := os.Lstat(path); err == nil && fi.Mode().IsRegular() {
			r.files = append(r.files, kept{path, fi.Size(), fi.ModTime().UnixNano()})
		}
	}, func(path string, err error) {
		unread[path] = true
		if !r.unread[path] {
			r.log.Warn("directory below the captures cannot be read; retention passes it over", "path", path, "err", err)
		}
	})
	r.unread = unread
	if err != nil && !os.IsNotExist(err) {
		r.fail("capture directory could not be read for retention", err)
	}
	r.order()
}

// merge adds what was completed since the last look. A scan may have found the
// same file, with another time of completion if the file system keeps it in
// seconds.
func (r *retainer) merge() {
	r.mu.Lock()
	added := r.added
	r.added = nil
	r.unfinished = r.sink.gauges.unfinishedBytes.Load()
	r.mu.Unlock()
	if len(added) == 0 {
		return
	}
	again := make(map[string]bool, len(added))
	for _, f := range added {
		again[f.path] = true
	}
	r.files = slices.DeleteFunc(r.files, func(f kept) bool { return again[f.path] })
	r.files = append(r.files, added...)
	r.order()
}

func (r *retainer) order() {
	slices.SortFunc(r.files, func(a, b kept) int {
		return cmp.Or(cmp.Compare(a.completed, b.completed), strings.Compare(a.path, b.path))
	})
	r.bytes = 0
	for i := range r.files {
		r.bytes += r.files[i].size
	}
}

// remove deletes the oldest files until every limit holds. One that cannot be
// deleted is passed over.
func (r *retainer) remove(limits Retain, now time.Time) {
	wanted := r.spaceWanted(limits.Free)
	failed := error(nil)
	left := r.files[:0]
	for i, f := range r.files {
		var cause Cause
		switch {
		case limits.Age > 0 && now.UnixNano()-f.completed > int64(limits.Age):
			cause = ByAge
		case limits.Size > 0 && r.bytes+r.unfinished > limits.Size:
			cause = BySize
		case wanted > 0:
			cause = ByFree
		default:
			left = append(left, r.files[i:]...)
			r.files = left
			r.settle(failed)
			return
		}
		err := os.Remove(f.path)
		if err != nil && !os.IsNotExist(err) {
			failed = err
			left = append(left, f)
			continue
		}
		r.bytes -= f.size
		if err != nil {
			continue // others removed it
		}
		wanted -= f.size
		// The session's directory goes with its last file; otherwise, or if it
		// is a link, this fails. Not os.Remove, which would remove a link.
		unix.Rmdir(filepath.Dir(f.path))
		r.sink.gauges.removedFiles[cause].Add(1)
		r.sink.gauges.removedBytes[cause].Add(uint64(f.size))
	}
	r.files = left
	r.settle(failed)
}

func (r *retainer) settle(err error) {
	if err != nil {
		r.fail("capture file could not be removed", err)
		return
	}
	r.failing = false
}

func (r *retainer) fail(what string, err error) {
	if !r.failing {
		r.failing = true
		r.log.Error(what, "err", err)
	}
}

// spaceWanted returns how many bytes the file system lacks of the fraction that
// is to be free, for users without privileges.
func (r *retainer) spaceWanted(free float64) int64 {
	if free == 0 {
		return 0
	}
	var st unix.Statfs_t
	if err := unix.Statfs(r.dir, &st); err != nil {
		r.fail("free space could not be found out", &os.PathError{Op: "statfs", Path: r.dir, Err: err})
		return 0
	}
	return int64((free*float64(st.Blocks) - float64(st.Bavail)) * float64(st.Frsize))
}

// measure averages the rate of writing, over all the time there was until there
// is a window of it.
func (r *retainer) measure(now time.Time) {
	dt := now.Sub(r.looked)
	if dt <= 0 {
		return
	}
	written := r.sink.gauges.written.Load()
	rate := float64(written-r.written) / dt.Seconds()
	over := min(now.Sub(r.started), rateWindow)
	r.rate += (rate - r.rate) * min(1, dt.Seconds()/over.Seconds())
	r.written, r.looked = written, now
}

// reach is RetainedSeconds.
func (r *retainer) reach(limits Retain, now time.Time) float64 {
	if len(r.files) == 0 {
		return 0
	}
	dir, name := filepath.Split(r.files[0].path)
	first, _, _, _ := parseName(filepath.Base(dir), name)
	reach := now.Sub(first).Seconds()
	if limits.Size > 0 && r.rate > 0 {
		reach = min(reach, float64(limits.Size)/r.rate)
	}
	if limits.Free > 0 && r.rate > 0 {
		room := float64(r.bytes + r.unfinished - r.spaceWanted(limits.Free))
		reach = min(reach, max(0, room)/r.rate)
	}
	if limits.Age > 0 {
		reach = min(reach, limits.Age.Seconds())
	}
	return math.Max(0, reach)
}
