package discovery

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/periscope-collector/periscope/internal/awsapi"
	"github.com/periscope-collector/periscope/internal/awsfake"
)

func TestSessionsAreBounded(t *testing.T) {
	d := newDesk("111122223333")
	face := eni("a", "10.0.0.1", 100)
	d.interfaces[face.ID] = *face
	for n := range maxSessions + 3 {
		id := fmt.Sprintf("tms-%05d", n)
		d.sessions[id] = awsapi.MirrorSession{ID: id, InterfaceID: face.ID, VNI: uint32(n + 1), Number: n}
	}
	r := newRig(t, nil, d)
	for n := range 2 {
		r.scopes[0].look(context.Background(), second(30*n))
	}
	status := r.scopes[0].status(second(30))
	if n := len(r.tenures); n != maxSessions || status.Skipped["limit"] != 3 {
		t.Errorf("%d sessions, skipped %v", n, status.Skipped)
	}
	if n := r.log.lines("are left out"); n != 1 {
		t.Errorf("%d lines about it", n)
	}
}

func TestClusterTag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk("111122223333")
		d.run("a", "10.0.0.1", 7, now())
		d.change(func() {
			face := d.interfaces["eni-a"]
			face.Tags = map[string]string{clusterTag: "prod"}
			d.interfaces["eni-a"] = face
		})
		r := newRig(t, nil, d)
		r.start(t)
		if got := r.name(7, "10.0.0.1", "a"); got != "web-aaaaaaaa" {
			t.Errorf("got %s", got)
		}
		if n := d.Calls()["Clusters"]; n != 0 {
			t.Errorf("clusters were listed %d times although the interface names its own", n)
		}
	})
}

// A task that is to stop is in the list of those that stopped.
func TestWholeTaskThatStops(t *testing.T) {
	w := newWhole(t, nil)
	task := w.runTask(7)
	if _, err := w.SetTask(task.ARN, "DEACTIVATING"); err != nil {
		t.Fatal(err)
	}
	w.after(time.Second)
	check(t, "it is found", w.table(), nameOfTask(task)+" 7 10.0.0.4 0-")
	w.stopTask(task)
	w.after(time.Second)
	check(t, "it has stopped", w.table(), nameOfTask(task)+" 7 10.0.0.4 0-1")
}

// A task is described until all its containers run, and then no more.
func TestWholeTaskThatStarts(t *testing.T) {
	w := newWhole(t, nil)
	task, err := w.RunTask(awsfake.Run{Account: home, Region: region, Service: "web", Status: "PENDING"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Mirror(home, region, task.Interface(), 7); err != nil {
		t.Fatal(err)
	}
	for _, status := range []string{"ACTIVATING", "RUNNING", "RUNNING", "RUNNING"} {
		w.after(30 * time.Second)
		if _, err := w.SetTask(task.ARN, status); err != nil {
			t.Fatal(err)
		}
	}
	w.after(30 * time.Second)
	if ids := w.tenures[0].Workload.ContainerIDs; len(ids) != 1 {
		t.Errorf("containers %v", ids)
	}
	if n := w.Server.Calls()["DescribeTasks"]; n != 3 {
		t.Errorf("the task was described %d times", n)
	}
}

// Errors are looks that lacked something, by the first thing wrong, whether that
// was asked for again or not.
func TestWholeErrorsAreLooks(t *testing.T) {
	w := newWhole(t, nil)
	w.runTask(7)
	for _, operation := range []string{"DescribeVpcs", "DescribeSubnets"} {
		w.Fail(awsfake.Fault{Operation: operation, Kind: awsfake.Denied})
	}
	remove := w.Fail(awsfake.Fault{Operation: "DescribeNetworkInterfaces", Kind: awsfake.Expired})
	w.after(time.Second)
	remove()
	for range 3 { // 30 s pass between two attempts
		w.after(20 * time.Second)
	}
	status := w.scopes[0].status(w.clock)
	if want := map[string]uint64{"expired": 2, "denied": 2}; !maps.Equal(status.Errors, want) {
		t.Errorf("errors %v, want %v", status.Errors, want)
	}
	if n := status.Calls["DescribeNetworkInterfaces"]; n != 2 {
		t.Errorf("interfaces were asked for %d times", n)
	}
}
