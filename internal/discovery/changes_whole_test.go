package discovery

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/awsfake"
	"github.com/periscope-collector/periscope/mirror/changes"
	"github.com/periscope-collector/periscope/packet"
)

// A story is a whole whose tasks are mirrored by somebody who says so.
type story struct {
	*whole
	*changes.Log
}

// newStory returns one whose changes are in a place.
func newStory(t *testing.T, from string) *story {
	w := newWhole(t, nil)
	w.MakeBucket(home, region, "changes")
	w.follower = newFollower(w.Discovery, from, nil)
	t.Cleanup(func() {
		if s3 := w.follower.s3; s3 != nil {
			s3.Close()
		}
	})
	return &story{w, changes.NewLog(w.follower.objects)}
}

// say writes what was done to the session of a task, which is there or is not any
// more, as it is done.
func (s *story) say(kind, id string, vni uint32, task awsfake.Task, face awsfake.Interface) {
	s.t.Helper()
	c := changes.Change{
		At: s.clock, Kind: kind, Account: home, Region: region, SessionID: id, InterfaceID: task.Interface(), TargetID: "tmt-1",
		VNI: vni, Number: 1, Address: netip.MustParseAddr(face.Address), MAC: face.MAC, VPCID: "vpc-1",
		ECS: &changes.ECS{ClusterARN: task.ClusterARN, Service: "web", TaskARN: task.ARN, TaskDefinitionARN: task.TaskDefinitionARN},
	}
	if err := s.Put(s.t.Context(), c); err != nil {
		s.t.Fatal(err)
	}
}

// live has a task live for 300 ms. It returns the session of its frame.
func (s *story) live(vni uint32) (awsfake.Task, *packet.Session) {
	s.t.Helper()
	task := s.runTask(vni)
	var face awsfake.Interface
	var id string
	s.Change(func(state *awsfake.State) {
		r := state.Region(home, region)
		face = *r.Interfaces[task.Interface()]
		for session, m := range r.Sessions {
			if m.InterfaceID == task.Interface() {
				id = session
			}
		}
	})
	s.say(changes.Created, id, vni, task, face)
	s.clock = s.clock.Add(100 * time.Millisecond)
	frame := s.frame(vni, task)
	s.clock = s.clock.Add(200 * time.Millisecond)
	s.stopTask(task)
	s.say(changes.Deleted, id, vni, task, face)
	return task, frame
}

// Tasks that live 300 ms, one after the other and at the same address, have their
// frames and their tenures, whether AWS answers or not.
func TestWholeShortLives(t *testing.T) {
	for name, from := range map[string]string{"directory": "", "S3": "s3://changes/of/us"} {
		for _, answers := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, AWS answers: %v", name, answers), func(t *testing.T) {
				s := newStory(t, cmp.Or(from, t.TempDir()))
				if !answers {
					s.Fail(awsfake.Fault{Operation: "DescribeTrafficMirrorSessions", Kind: awsfake.Denied})
				}
				s.after(time.Second)
				frames := make(map[string]*packet.Session)
				for range 5 {
					task, frame := s.live(7)
					frames[task.ARN] = frame
				}
				s.follower.read(context.Background(), s.clock)
				for arn, frame := range frames {
					if who := frame.Identified(); who.Workload.TaskARN != arn || !strings.HasPrefix(who.Name, "web-") {
						t.Errorf("a frame of %s is of %s, %s", arn, who.Name, who.Workload.TaskARN)
					}
				}
				s.after(30 * time.Second)
				if got := s.table(); len(got) != 5 {
					t.Errorf("table %q", got)
				}
				for i := range s.tenures {
					lasts := int64(300 * time.Millisecond)
					if i == len(s.tenures)-1 { // nobody follows it
						lasts += lingers
					}
					if e := &s.tenures[i]; e.Until-e.From != lasts {
						t.Errorf("%s lasts %s", e.Name, time.Duration(e.Until-e.From))
					}
				}
				s.after(31 * time.Second)
				if got := s.table(); len(got) != 0 {
					t.Errorf("a minute later: %q", got)
				}
			})
		}
	}
}
