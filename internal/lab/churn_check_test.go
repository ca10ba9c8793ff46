package lab_test

import (
	"encoding/binary"
	"encoding/json"
	"path/filepath"
	"slices"

	"github.com/periscope-collector/periscope/internal/judge"
	"github.com/periscope-collector/periscope/session/announce"
)

// check holds files against who said what.
func (s *stage) check(all []*running, captures, flows string) {
	s.t.Helper()
	owner := make(map[uint16]*running)
	for _, r := range all {
		owner[r.port] = r
	}
	total := 0
	for _, r := range all {
		files, err := filepath.Glob(filepath.Join(captures, "*-"+r.id[:8], "*.pcap"))
		if err != nil {
			s.t.Fatal(err)
		}
		frames := slices.DeleteFunc(readFrames(s.t, files...), announced)
		for _, f := range frames {
			if of := owner[ownPort(f.data)]; of != r {
				s.t.Fatalf("%s has a frame of another task: %x", files[0], f.data)
			}
		}
		if len(frames) != r.frames {
			s.t.Errorf("task %s has %d frames, %d were mirrored", r.id, len(frames), r.frames)
		}
		total += len(frames)
	}
	dirs, _ := filepath.Glob(filepath.Join(captures, "[^.]*"))
	if len(dirs) != len(all) {
		s.t.Errorf("%d tasks, %d directories: %q", len(all), len(dirs), dirs)
	}
	s.t.Logf("%s: %d frames of %d tasks", captures, total, len(all))
	if flows == "" {
		return
	}
	seen := make(map[*running]bool)
	judge.EachFlowLog(s.t, flows, func(_, line string) { s.whose(owner, []byte(line), seen) })
	if len(seen) != len(all) {
		s.t.Errorf("flow records of %d tasks, want %d", len(seen), len(all))
	}
}

// whose fails the test unless a record, as JSON, is of the task whose port it
// has.
func (s *stage) whose(owner map[uint16]*running, line []byte, seen map[*running]bool) {
	s.t.Helper()
	var record struct {
		Task   string `json:"ecs_task_id"`
		From   uint16 `json:"initiator_port"`
		To     uint16 `json:"responder_port"`
		Source uint16 `json:"src_port"`
		Dest   uint16 `json:"dest_port"`
	}
	if err := json.Unmarshal(line, &record); err != nil {
		s.t.Fatalf("%s: %v", line, err)
	}
	for _, port := range []uint16{record.From, record.To, record.Source, record.Dest} {
		if r := owner[port]; r != nil {
			if record.Task != r.id {
				s.t.Fatalf("record of task %q, want %s: %s", record.Task, r.id, line)
			}
			seen[r] = true
		}
	}
}

// checkEvents holds the events against who said what.
func (c *churn) checkEvents(all []*running) {
	c.t.Helper()
	owner := make(map[uint16]*running)
	for _, r := range all {
		owner[r.port] = r
	}
	kinds := map[string]map[*running]bool{"periscope:flow": {}, "periscope:frame": {}}
	for _, raw := range c.events.Events() {
		var e struct {
			Sourcetype string
			Event      json.RawMessage
		}
		if err := json.Unmarshal(raw, &e); err != nil {
			c.t.Fatal(err)
		}
		if seen := kinds[e.Sourcetype]; seen != nil {
			c.whose(owner, e.Event, seen)
		}
	}
	for kind, seen := range kinds {
		if len(seen) != len(all) {
			c.t.Errorf("%s of %d tasks, want %d", kind, len(seen), len(all))
		}
	}
}

// announced reports whether a frame is what a sidecar says of itself.
func announced(f frame) bool {
	return binary.BigEndian.Uint16(f.data[12:]) == announce.EtherType
}

// ownPort returns the port of a frame that is not the peer's.
func ownPort(frame []byte) uint16 {
	ports := frame[14+20:]
	return max(binary.BigEndian.Uint16(ports), binary.BigEndian.Uint16(ports[2:]))
}
