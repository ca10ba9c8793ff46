package cloud_test

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/internal/awsfake"
	"github.com/periscope-collector/periscope/mirror"
	"github.com/periscope-collector/periscope/mirror/cloud"
)

func (r *rig) instance(t *testing.T, name string) (awsfake.Instance, awsfake.Interface) {
	t.Helper()
	i, face, err := r.fake.RunInstance(account, region, name, netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	return i, face
}

// TestInstances: with Instances all interfaces in use are sources, once each: not
// those of targets, of tasks that end, and of instances that do.
func TestInstances(t *testing.T) {
	r := newRig(t, cloud.Config{Instances: true})
	r.target(t) // and its instance
	db, dbFace := r.instance(t, "db")
	_, stopped := r.instance(t, "stopped")
	_, managed := r.instance(t, "")
	_, free := r.instance(t, "")
	_, branch := r.instance(t, "")
	task := r.task(t, awsfake.Run{})
	ends := r.task(t, awsfake.Run{})
	if _, err := r.fake.SetInstance(stopped.Attachment.InstanceID, "stopping"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.fake.SetInstance(db.ID, "pending"); err != nil {
		t.Fatal(err)
	}
	r.change(func(here *awsfake.Region) {
		here.Instances[db.ID].Tags = awsfake.Set[awsfake.Tag]{{Key: "Name", Value: "db"}, {Key: "aws:autoscaling:groupName", Value: "dbs"}}
		here.Interfaces[dbFace.ID].Tags = awsfake.Set[awsfake.Tag]{{Key: "mirror", Value: "yes"}}
		here.Interfaces[managed.ID].Attachment.InstanceID = ""
		here.Interfaces[free.ID].Attachment, here.Interfaces[free.ID].Status = nil, "available"
		here.Interfaces[branch.ID].Type = "branch"
		here.Tasks[ends.ARN].DesiredStatus = "STOPPED"
	})
	s := r.look(t)
	if want := []string{dbFace.ID, managed.ID, task.Interface()}; !slices.Equal(faces(s), want) || s.Gone != nil || !s.Whole {
		t.Fatalf("sources %v, gone %v, whole %v; want %v", faces(s), s.Gone, s.Whole, want)
	}
	if s.Sources[0].Tags["mirror"] != "yes" || s.Sources[0].Task != nil || !reflect.DeepEqual(s.Sources[0].Instance, &mirror.Instance{
		ID: db.ID, Name: "db", Group: "dbs", Tags: map[string]string{"Name": "db", "aws:autoscaling:groupName": "dbs"}}) {
		t.Errorf("the instance's is %+v, of %+v", s.Sources[0], s.Sources[0].Instance)
	}
	if s.Sources[1].Task != nil || s.Sources[1].Instance != nil || s.Sources[2].Task == nil || s.Sources[2].Instance != nil {
		t.Errorf("the others are %+v", s.Sources[1:])
	}
	if want := map[string]uint64{"GetCallerIdentity": 1, "DescribeTrafficMirrorSessions": 1, "DescribeTrafficMirrorTargets": 1, "ListClusters": 1,
		"ListTasks": 1, "DescribeTasks": 1, "DescribeInstances": 1, "DescribeNetworkInterfaces": 1}; !reflect.DeepEqual(r.Calls(), want) {
		t.Errorf("calls %v, want %v", r.Calls(), want)
	}
}

// TestNoInstances: without, nobody asks for them.
func TestNoInstances(t *testing.T) {
	r := newRig(t, cloud.Config{})
	db, _ := r.instance(t, "db")
	for _, hints := range [][]mirror.Hint{nil, {{InstanceID: db.ID}}} {
		if s := r.look(t, hints...); s.Sources != nil || s.Gone != nil {
			t.Errorf("%+v", s)
		}
	}
	if n := r.Calls()["DescribeInstances"] + r.Calls()["DescribeNetworkInterfaces"]; n != 0 {
		t.Errorf("%d calls", n)
	}
}

// TestInstanceHints: what becomes of an instance's interface in each state.
func TestInstanceHints(t *testing.T) {
	r := newRig(t, cloud.Config{Instances: true})
	r.target(t)
	r.task(t, awsfake.Run{})
	r.instance(t, "another")
	for _, test := range []struct {
		state        string
		source, gone bool
	}{
		{"pending", true, false},
		{"running", true, false},
		{"stopping", false, true},
		{"stopped", false, true},
		{"shutting-down", false, true},
		{"terminated", false, false}, // it has none, and its sessions went with it
	} {
		db, face := r.instance(t, "db")
		if _, err := r.fake.SetInstance(db.ID, test.state); err != nil {
			t.Fatal(err)
		}
		s := r.look(t, mirror.Hint{InstanceID: db.ID}, mirror.Hint{InstanceID: db.ID})
		var source, gone []string
		if test.source {
			source = []string{face.ID}
		}
		if test.gone {
			gone = []string{face.ID}
		}
		if !slices.Equal(faces(s), source) || !slices.Equal(s.Gone, gone) {
			t.Errorf("%s: sources %v, gone %v; want %v, %v", test.state, faces(s), s.Gone, source, gone)
		}
	}
}

// TestForgottenInstance: an interface that outlives its instance is found by the
// tag of its session.
func TestForgottenInstance(t *testing.T) {
	r := newRig(t, cloud.Config{Instances: true})
	target, filter, _ := r.target(t)
	db, face := r.instance(t, "db")
	_, err := r.Create(t.Context(), mirror.Session{InterfaceID: face.ID, TargetID: target, FilterID: filter, Number: 1, VNI: 1,
		Tags: map[string]string{"periscope:instance": db.ID}}, "once")
	if err != nil {
		t.Fatal(err)
	}
	r.change(func(here *awsfake.Region) { here.Interfaces[face.ID].Attachment = nil })
	if s := r.look(t, mirror.Hint{InstanceID: db.ID}); s.Gone != nil {
		t.Errorf("it runs, and %v is gone", s.Gone)
	}
	r.change(func(here *awsfake.Region) { delete(here.Instances, db.ID) })
	if s := r.look(t, mirror.Hint{InstanceID: db.ID}); !slices.Equal(s.Gone, []string{face.ID}) || s.Sources != nil {
		t.Errorf("gone %v, sources %v", s.Gone, s.Sources)
	}
}

// TestTags: package mirror's tags are those by which a forgotten one is found.
func TestTags(t *testing.T) {
	rules, err := mirror.Parse("rules.yaml", []byte(`
targets: [{id: tmt-0000000000000000f}]
sources: [{name: all, match: all, filter: tmf-00000000000000001}]
`))
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, cloud.Config{Instances: true})
	r.change(func(here *awsfake.Region) {
		here.Targets = map[string]*awsfake.MirrorTarget{"tmt-0000000000000000f": {ID: "tmt-0000000000000000f", Type: "network-load-balancer",
			LoadBalancerARN: "arn", OwnerID: account}}
		here.Filters = map[string]*awsfake.MirrorFilter{"tmf-00000000000000001": {ID: "tmf-00000000000000001"}}
	})
	task := r.task(t, awsfake.Run{})
	db, face := r.instance(t, "db")
	for _, a := range mirror.Make(rules, r.look(t), nil).Actions {
		if _, err := r.Create(t.Context(), a.Session, a.Token); err != nil {
			t.Fatal(err)
		}
	}
	r.change(func(here *awsfake.Region) {
		clear(here.Tasks)
		clear(here.Instances)
		here.Interfaces[face.ID].Attachment = nil
	})
	s := r.look(t, append(hint(task), mirror.Hint{InstanceID: db.ID})...)
	want := []string{face.ID, task.Interface()}
	slices.Sort(want)
	slices.SortFunc(s.Gone, strings.Compare)
	if len(s.Sessions) != 2 || !slices.Equal(s.Gone, want) {
		t.Errorf("gone %v of %v, want %v", s.Gone, s.Sessions, want)
	}
}
