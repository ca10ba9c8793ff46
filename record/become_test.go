package record_test

import (
	"bytes"
	"testing"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/record"
)

// The event of a frame says who its session is by the time it is made, although
// earlier events said otherwise.
func TestFrameOfASessionThatBecameAnother(t *testing.T) {
	frame := frameOf(t, tcpTagged)
	frame.Session = &packet.Session{ID: 1, Name: "vni-7"}
	frame.Length++ // of which a byte is missing
	events := record.NewEvents(record.EventConfig{JSON: record.JSON{Cause: func(s *packet.Session, _ int) string { return "cause of " + s.Name }}})
	var f record.Frame
	f.Set(frame, 0)
	before := events.AppendFrame(nil, &f, nil)
	frame.Session.Become(&packet.Session{ID: 2, Name: "web", Known: true, Workload: packet.Workload{TaskARN: "arn:aws:ecs:eu-central-1:1:task/prod/0123"}})
	after := events.AppendFrame(nil, &f, nil)
	for _, want := range []string{`"session":"web"`, `"ecs_task_id":"0123"`, `"truncation_cause":"cause of web"`} {
		if bytes.Contains(before, []byte(want)) || !bytes.Contains(after, []byte(want)) {
			t.Errorf("%s is not new:\n%s\n%s", want, before, after)
		}
	}
	if bytes.Contains(after, []byte("vni-7")) {
		t.Errorf("%s", after)
	}
}
