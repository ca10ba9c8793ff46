package splunk

import (
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	quarantineName = "quarantine.jsonl"

	// quarantineMost bounds the file of refused events.
	quarantineMost = 64 << 20
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
	path string
	sink *Sink
	mu   sync.Mutex
	last uint64 // lines that could not be written
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
		q.last += uint64(len(refused))
		q.sink.warn("refused events are not kept", "lane", lane, "events", len(refused), "error", err)
		return
	}
	q.sink.warn("events were refused for good and put aside", "lane", lane, "events", len(refused), "code", refused[0].code, "why", refused[0].text, "file", q.path)
}

func (q *quarantine) write(lines []byte) error {
	f, err := os.OpenFile(q.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size()+int64(len(lines)) > quarantineMost {
		return fmt.Errorf("%s holds %d MiB; send it again with periscope spool resend, or remove it", q.path, quarantineMost>>20)
	}
	if _, err := f.Write(lines); err != nil {
		f.Truncate(info.Size()) // no half line
		return err
	}
	return f.Sync()
}

// lost returns how many refused events are in no file.
func (q *quarantine) lost() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.last
}
