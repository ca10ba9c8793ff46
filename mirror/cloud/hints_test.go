package cloud_test

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"testing"

	"github.com/periscope-collector/periscope/internal/awsfake"
	"github.com/periscope-collector/periscope/mirror"
	"github.com/periscope-collector/periscope/mirror/cloud"
)

// faces are the interfaces of sources.
func faces(s *mirror.State) (ids []string) {
	for _, source := range s.Sources {
		ids = append(ids, source.InterfaceID)
	}
	return ids
}

// TestStatuses: what becomes of a task in each status, in a look at everything and
// in one for a hint, with a session and without. What stops stays mirrored until its
// interface goes.
func TestStatuses(t *testing.T) {
	const (
		nothing = iota
		source
		kept // a source if it is mirrored
		gone
		forgotten // gone to a hint, if it is mirrored
	)
	r := newRig(t, cloud.Config{})
	for _, test := range []struct {
		last, desired string
		bare          bool // ECS does not tell an interface
		is            int
	}{
		{"PROVISIONING", "RUNNING", true, nothing},
		{"PROVISIONING", "RUNNING", false, source},
		{"PENDING", "RUNNING", false, source},
		{"ACTIVATING", "RUNNING", false, source},
		{"RUNNING", "RUNNING", false, source},
		{"SOMETHING NEW", "RUNNING", false, source},
		{"DEACTIVATING", "RUNNING", false, kept},
		{"PROVISIONING", "STOPPED", false, kept},
		{"RUNNING", "STOPPED", false, kept},
		{"DEACTIVATING", "STOPPED", false, kept},
		{"STOPPING", "STOPPED", false, kept},
		{"DEPROVISIONING", "STOPPED", false, gone},
		{"STOPPED", "STOPPED", false, gone},
		{"STOPPED", "STOPPED", true, forgotten},
		{"DELETED", "STOPPED", false, gone},
	} {
		for _, mirrored := range []bool{false, true} {
			t.Run(fmt.Sprint(test.last, test.desired, test.bare, mirrored), func(t *testing.T) {
				task := r.task(t, awsfake.Run{Cluster: "prod"})
				r.change(func(here *awsfake.Region) {
					clear(here.Tasks)
					now := task
					now.LastStatus, now.DesiredStatus = test.last, test.desired
					if test.bare {
						now.Attachments = slices.Clone(now.Attachments)
						now.Attachments[0].Details = now.Attachments[0].Details[:1] // its subnet
					}
					here.Tasks[task.ARN] = &now
					here.Sessions = make(map[string]*awsfake.MirrorSession)
					if mirrored {
						session := sessionOf(task)
						here.Sessions[session.ID] = session
					}
				})
				for name, hints := range map[string][]mirror.Hint{"whole": nil, "hint": hint(task)} {
					s := r.look(t, hints...)
					var sources, ended []string
					if test.is == source || test.is == kept && mirrored {
						sources = []string{task.Interface()}
					}
					// What is to stop is in no list: a session has to name it.
					if test.is == gone && (hints != nil || mirrored) || test.is == forgotten && hints != nil && mirrored {
						ended = []string{task.Interface()}
					}
					if !slices.Equal(faces(s), sources) || !slices.Equal(s.Gone, ended) || s.Whole != (hints == nil) {
						t.Errorf("%s: sources %v, gone %v, whole %v; want %v, %v", name, faces(s), s.Gone, s.Whole, sources, ended)
					}
				}
			})
		}
	}
}

// sessionOf returns a session that package mirror made for a task of the cluster prod.
func sessionOf(task awsfake.Task) *awsfake.MirrorSession {
	return &awsfake.MirrorSession{
		ID: "tms-" + task.Interface()[4:], InterfaceID: task.Interface(), TargetID: "tmt-1", FilterID: "tmf-1", OwnerID: account, Number: 1, VNI: 1,
		Tags: awsfake.Set[awsfake.Tag]{{Key: "periscope:cluster", Value: "prod"}, {Key: "periscope:task", Value: path.Base(task.ARN)}},
	}
}

// TestHints: of a look for hints come the hinted tasks alone, each once, and all
// sessions and targets.
func TestHints(t *testing.T) {
	r := newRig(t, cloud.Config{})
	target, filter, _ := r.target(t)
	var tasks []awsfake.Task
	for i := range 4 {
		tasks = append(tasks, r.task(t, awsfake.Run{Cluster: []string{"prod", "batch"}[i%2]}))
	}
	session, err := r.Create(t.Context(), mirror.Session{InterfaceID: tasks[3].Interface(), TargetID: target, FilterID: filter, Number: 1, VNI: 1}, "once")
	if err != nil {
		t.Fatal(err)
	}
	s := r.look(t, hint(tasks[0], tasks[1], tasks[0])...)
	if want := []string{tasks[0].Interface(), tasks[1].Interface()}; !slices.Equal(faces(s), want) || s.Whole || s.Gone != nil {
		t.Errorf("sources %v, gone %v, whole %v; want %v", faces(s), s.Gone, s.Whole, want)
	}
	if len(s.Sessions) != 1 || s.Sessions[0].ID != session.ID || len(s.Targets) != 1 {
		t.Errorf("sessions %v, targets %v", s.Sessions, s.Targets)
	}
}

// TestManyHints: tasks that are hinted often are asked for once.
func TestManyHints(t *testing.T) {
	r := newRig(t, cloud.Config{})
	var hints []mirror.Hint
	for range 100 {
		hints = append(hints, hint(r.task(t, awsfake.Run{}))...)
	}
	hints = slices.Concat(hints, hints, hints)
	if s := r.look(t, hints...); len(s.Sources) != 100 || r.Calls()["DescribeTasks"] != 1 {
		t.Errorf("%d sources after calls %v", len(s.Sources), r.Calls())
	}
}

// TestForgottenTask: of a task that ECS does not know any more, or whose cluster is
// gone, or that ended and has no interface now, sessions tell the interface.
func TestForgottenTask(t *testing.T) {
	r := newRig(t, cloud.Config{})
	target, filter, _ := r.target(t)
	session := func(task awsfake.Task, tags map[string]string) {
		t.Helper()
		_, err := r.Create(t.Context(), mirror.Session{InterfaceID: task.Interface(), TargetID: target, FilterID: filter, Number: 1, VNI: 1, Tags: tags}, task.ARN)
		if err != nil {
			t.Fatal(err)
		}
	}
	known, tagged, bare := r.task(t, awsfake.Run{}), r.task(t, awsfake.Run{}), r.task(t, awsfake.Run{})
	away := r.task(t, awsfake.Run{Cluster: "away"})
	young, ended := r.task(t, awsfake.Run{Status: "PROVISIONING", Bare: true}), r.task(t, awsfake.Run{Status: "PROVISIONING", Bare: true})
	for _, task := range []awsfake.Task{young, ended} {
		session(task, map[string]string{"periscope:task": task.ARN[len(task.ARN)-32:]})
	}
	session(known, map[string]string{"periscope:task": "another"})
	session(tagged, map[string]string{"periscope:task": tagged.ARN[len(tagged.ARN)-32:]})
	session(bare, nil)
	session(away, map[string]string{"periscope:task": away.ARN[len(away.ARN)-32:]})
	r.change(func(here *awsfake.Region) {
		delete(here.Tasks, tagged.ARN)
		delete(here.Tasks, bare.ARN)
		delete(here.Tasks, away.ARN)
		delete(here.Clusters, away.ClusterARN)
		here.Tasks[ended.ARN].DesiredStatus = "STOPPED"
	})
	s := r.look(t, hint(known, tagged, bare, away, young, ended)...)
	want := []string{tagged.Interface(), away.Interface(), ended.Interface()}
	slices.Sort(s.Gone)
	if !slices.Equal(s.Gone, want) || !slices.Equal(faces(s), []string{known.Interface()}) {
		t.Errorf("gone %v, sources %v; want %v, %v", s.Gone, faces(s), want, known.Interface())
	}
}

// TestForeignHints: a hint that is not of a task here costs nothing and spoils
// nothing.
func TestForeignHints(t *testing.T) {
	r := newRig(t, cloud.Config{})
	task := r.task(t, awsfake.Run{Cluster: "prod"})
	cluster := task.ClusterARN
	before := r.look(t, hint(task)...)
	calls := r.fake.Calls()["DescribeTasks"]
	for _, h := range []mirror.Hint{
		{},
		{InstanceID: "i-1"}, // instances are not asked for
		{ClusterARN: cluster, TaskARN: "arn:aws:ecs:us-east-1:999988887777:task/prod/1"},
		{ClusterARN: cluster, TaskARN: "arn:aws:ecs:eu-west-1:111122223333:task/prod/1"},
		{ClusterARN: "arn:aws:ecs:us-east-1:999988887777:cluster/prod", TaskARN: task.ARN},
		{ClusterARN: "prod", TaskARN: task.ARN},
		{TaskARN: task.ARN},
		{ClusterARN: cluster, TaskARN: cluster},
		{ClusterARN: task.ARN, TaskARN: task.ARN},
		{ClusterARN: cluster, TaskARN: task.ARN + "\n"},
		{ClusterARN: cluster, TaskARN: task.ARN + "/1"},
		{ClusterARN: cluster, TaskARN: "arn:aws:ecs:us-east-1:111122223333:task/"},
		{ClusterARN: cluster, TaskARN: "\x00"},
	} {
		if s := r.look(t, h); s.Sources != nil || s.Gone != nil || s.Whole {
			t.Errorf("%q: %+v", h, s)
		}
		if s := r.look(t, h, hint(task)[0]); !slices.Equal(faces(s), faces(before)) {
			t.Errorf("%q beside a task's: %+v", h, s)
		}
		calls++ // for the one beside it
	}
	if n := r.fake.Calls()["DescribeTasks"]; n != calls {
		t.Errorf("%d calls, want %d", n, calls)
	}
}

// TestLateInterface: an interface that EC2 does not list yet is what its task says
// of it.
func TestLateInterface(t *testing.T) {
	r := newRig(t, cloud.Config{})
	r.fake.SetDelay(awsfake.Delay{Describes: 1})
	task := r.task(t, awsfake.Run{Address: netip.MustParseAddr("10.0.7.7")})
	late := r.look(t, hint(task)...).Sources
	listed := r.look(t, hint(task)...).Sources
	if len(late) != 1 || len(listed) != 1 {
		t.Fatalf("late %v, listed %v", late, listed)
	}
	if late[0].VPCID != "" || late[0].AZID != "" || listed[0].VPCID == "" || listed[0].AZID == "" {
		t.Errorf("late %+v, listed %+v", late[0], listed[0])
	}
	late[0].VPCID, late[0].AZID, late[0].Task = listed[0].VPCID, listed[0].AZID, listed[0].Task
	if fmt.Sprint(late[0]) != fmt.Sprint(listed[0]) || late[0].Address != netip.MustParseAddr("10.0.7.7") || late[0].MAC == [6]byte{} {
		t.Errorf("late %+v, listed %+v", late[0], listed[0])
	}
}

// TestLateOnInstance: on EC2 the interface may be a branch, and nobody knows before
// it is listed.
func TestLateOnInstance(t *testing.T) {
	r := newRig(t, cloud.Config{})
	task := r.task(t, awsfake.Run{})
	r.change(func(here *awsfake.Region) {
		here.Tasks[task.ARN].ContainerInstanceARN = "arn:aws:ecs:us-east-1:111122223333:container-instance/default/1"
		here.Interfaces[task.Interface()].Type = "branch"
	})
	if s := r.look(t); len(s.Sources) != 1 || s.Sources[0].Type != "branch" || s.Sources[0].Task.ContainerInstance == "" {
		t.Errorf("listed: %+v", s.Sources)
	}
	r.change(func(here *awsfake.Region) { clear(here.Interfaces) })
	if s := r.look(t); len(s.Sources) != 1 || s.Sources[0].Type != "" || s.Sources[0].SubnetID == "" {
		t.Errorf("not listed: %+v", s.Sources)
	}
}

// A task that is mirrored and in no list is asked for by name: what runs or is
// still stopping is a source, what has stopped is not.
func TestLateList(t *testing.T) {
	r := newRig(t, cloud.Config{})
	var tasks []awsfake.Task
	for range 3 {
		tasks = append(tasks, r.task(t, awsfake.Run{Cluster: "prod"}))
	}
	r.change(func(here *awsfake.Region) {
		here.Sessions = make(map[string]*awsfake.MirrorSession)
		for _, task := range tasks {
			session := sessionOf(task)
			here.Sessions[session.ID] = session
		}
		odd := sessionOf(tasks[0])
		odd.ID, odd.InterfaceID, odd.Tags = "tms-odd", "eni-odd", slices.Clone(odd.Tags)
		odd.Tags[1].Value = "somebody's word"
		here.Sessions[odd.ID] = odd
	})
	for i, status := range []string{1: "STOPPING", 2: "STOPPED"} {
		if status == "" {
			continue
		}
		if _, err := r.fake.SetTask(tasks[i].ARN, status); err != nil {
			t.Fatal(err)
		}
	}
	r.fake.Fail(awsfake.Fault{Operation: "ListTasks", Times: 1, Kind: awsfake.Refused, Error: awsfake.Error{Code: "ClusterNotFoundException", Message: "Cluster not found."}})
	s := r.look(t)
	if want := []string{tasks[0].Interface(), tasks[1].Interface()}; !slices.Equal(faces(s), want) || !s.Whole {
		t.Errorf("sources %q, whole %v, want %q", faces(s), s.Whole, want)
	}
}
