package splunk

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// QuarantineName is the file of events that were refused for good, in the directory
// of the spool, and QuarantineMost its bound in bytes.
const (
	QuarantineName = "quarantine.jsonl"
	QuarantineMost = 64 << 20
)

// A Quarantined is a line of the file of events that were refused for good.
type Quarantined struct {
	At    time.Time       `json:"at"`
	Lane  string          `json:"lane"`
	Code  int             `json:"code"` // of the answer, -1 without one
	Text  string          `json:"text"`
	Event json.RawMessage `json:"event"` // the whole envelope
}

// A quarantine is that file. It is opened for each batch that has something for
// it, so that it can be taken away meanwhile.
type quarantine struct {
	path  string
	sink  *Sink
	named func(path string) error // makes the name durable

	mu     sync.Mutex
	unkept uint64 // events that could not be written
}

// add writes refused events. What does not fit, or cannot be written, is gone; it
// is counted as refused all the same.
func (q *quarantine) add(lane string, refused []refusal) {
	if len(refused) == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	var lines []byte
	for _, r := range refused {
		line, err := json.Marshal(Quarantined{At: q.sink.cfg.now().UTC(), Lane: lane, Code: r.code, Text: r.text, Event: r.bytes})
		if err != nil { // the event is not JSON, which it always is
			line, _ = json.Marshal(Quarantined{At: q.sink.cfg.now().UTC(), Lane: lane, Code: r.code, Text: r.text})
		}
		lines = append(append(lines, line...), '\n')
	}
	if err := q.write(lines); err != nil {
		q.unkept += uint64(len(refused))
		q.sink.warn("refused events are not kept", "lane", lane, "events", len(refused), "error", err)
		return
	}
	q.sink.warn("events were refused for good and put aside", "lane", lane, "events", len(refused), "code", refused[0].code, "why", refused[0].text, "file", q.path)
}

func (q *quarantine) write(lines []byte) error {
	f, info, err := OpenQuarantine(filepath.Dir(q.path))
	if err != nil {
		return err
	}
	defer f.Close()
	if size := info.Size(); size == 0 {
		if err := q.named(filepath.Dir(q.path)); err != nil {
			return err
		}
	} else {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, size-1); err != nil {
			return err
		}
		if last[0] != '\n' { // a process was killed here
			lines = append([]byte{'\n'}, lines...)
		}
	}
	if info.Size()+int64(len(lines)) > QuarantineMost {
		return fmt.Errorf("%s holds %d MiB; send it again with periscope spool resend, or remove it", q.path, QuarantineMost>>20)
	}
	if _, err := f.Write(lines); err != nil {
		f.Truncate(info.Size()) // no half line
		return err
	}
	return f.Sync()
}

// OpenQuarantine opens the file of a spool's directory to append to it, and locks it
// until it is closed, so that nobody takes it away before the lines are in it. One
// that was taken away meanwhile is locked or has another name, and a new one is
// begun. It belongs to the owner of the directory, also if root begins it.
func OpenQuarantine(dir string) (*os.File, os.FileInfo, error) {
	path := filepath.Join(dir, QuarantineName)
	for range 10 {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, nil, err
		}
		locked := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) == nil
		info, err := f.Stat()
		named, nameErr := os.Lstat(path)
		if locked && err == nil && nameErr == nil && os.SameFile(info, named) {
			if err := giveToOwner(f, dir); err != nil {
				f.Close()
				return nil, nil, err
			}
			return f, info, nil
		}
		f.Close()
	}
	return nil, nil, fmt.Errorf("%s is locked by another process", path)
}

// giveToOwner gives a file that root may have made to the owner of its directory,
// whose service goes on with it.
func giveToOwner(f *os.File, dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	return f.Chown(int(st.Uid), int(st.Gid))
}

// lost returns how many refused events are in no file.
func (q *quarantine) lost() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.unkept
}
