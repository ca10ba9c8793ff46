package discovery

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/awsapi"
	"github.com/periscope-collector/periscope/internal/awsfake"
)

// runIn starts a task of a cluster, mirrored if it is given a VNI.
func (w *whole) runIn(cluster string, address string, vni uint32) awsfake.Task {
	w.t.Helper()
	task, err := w.RunTask(awsfake.Run{Account: home, Region: region, Cluster: cluster, Service: "web", Address: netip.MustParseAddr(address)})
	if err != nil {
		w.t.Fatal(err)
	}
	if vni != 0 {
		if _, err := w.Mirror(home, region, task.Interface(), vni); err != nil {
			w.t.Fatal(err)
		}
	}
	return task
}

// named returns the tasks whose sessions have their names.
func (w *whole) named(tasks ...awsfake.Task) (named []int) {
	for n, task := range tasks {
		if slices.ContainsFunc(w.tenures, func(t tenure) bool { return t.Name == nameOfTask(task) && t.Until == 0 }) {
			named = append(named, n)
		}
	}
	return named
}

// A cluster that is refused hides no other one's tasks, and is asked again at
// intervals of its own until it answers.
func TestWholeClusterRefused(t *testing.T) {
	w := newWhole(t, nil)
	tasks := []awsfake.Task{w.runIn("a", "10.0.0.10", 1), w.runIn("b", "10.0.0.11", 2), w.runIn("c", "10.0.0.12", 3)}
	w.Fail(awsfake.Fault{Operation: "ListTasks", Kind: awsfake.Denied, Times: 1})
	w.after(time.Second)
	remove := w.Fail(awsfake.Fault{Operation: "ListTasks", Kind: awsfake.Denied})
	a := w.scopes[0].tasks.clusters["a"]
	var at []int // seconds after the first refusal
	for n := 0; n < 220; n += 2 {
		if got := w.named(tasks...); !slices.Equal(got, []int{1, 2}) || w.scopes[0].status(w.clock).ErrorKind != "denied" {
			t.Fatalf("after %d s: %v, %+v", n, got, w.scopes[0].status(w.clock))
		}
		if a.failing.Until.Equal(w.clock.Add(a.failing.Delay)) {
			at = append(at, n)
		}
		w.after(2 * time.Second)
	}
	if want := []int{0, 30, 90, 150, 210}; !slices.Equal(at, want) {
		t.Errorf("it was refused after %v s, want %v", at, want)
	}
	remove()
	w.after(4 * time.Minute)
	if got := w.named(tasks...); !slices.Equal(got, []int{0, 1, 2}) || w.scopes[0].status(w.clock).Error != "" {
		t.Errorf("in the end: %v, %+v", got, w.scopes[0].status(w.clock))
	}

	// What is looked for no more is no problem.
	gone := w.runIn("c", "10.0.0.13", 4)
	w.Fail(awsfake.Fault{Operation: "ListTasks", Kind: awsfake.Denied, Skip: 2, Times: 1})
	w.after(30 * time.Second)
	if got := w.scopes[0].status(w.clock).ErrorKind; got != "denied" || w.named(gone) != nil {
		t.Errorf("c refused: error %q", got)
	}
	w.stopTask(gone)
	for range 3 {
		w.after(30 * time.Second)
	}
	if got := w.scopes[0].status(w.clock).Error; got != "" {
		t.Errorf("error %s stays", got)
	}
}

// A failure that others would share leaves the others for the next look, which
// begins with them.
func TestWholeECSFails(t *testing.T) {
	w := newWhole(t, nil)
	tasks := []awsfake.Task{w.runIn("a", "10.0.0.10", 1), w.runIn("b", "10.0.0.11", 2)}
	w.Fail(awsfake.Fault{Operation: "ListTasks", Kind: awsfake.Expired, Times: 1})
	w.after(time.Second)
	if got, n := w.named(tasks...), w.Server.Calls()["ListTasks"]; got != nil || n != 1 {
		t.Errorf("first look: %v, %d lists", got, n)
	}
	w.Fail(awsfake.Fault{Operation: "ListTasks", Kind: awsfake.Expired, Skip: 1, Times: 1})
	w.after(2 * time.Second)
	if got := w.named(tasks...); !slices.Equal(got, []int{1}) {
		t.Errorf("second look: %v", got)
	}
	w.after(30 * time.Second)
	w.after(30 * time.Second)
	if got := w.named(tasks...); !slices.Equal(got, []int{0, 1}) {
		t.Errorf("in the end: %v", got)
	}
}

// Of a list that fails in its middle the tasks before are known.
func TestWholeTasksFail(t *testing.T) {
	w := newWhole(t, nil)
	w.runTasks(250) // 100 at a time
	w.Fail(awsfake.Fault{Operation: "DescribeTasks", Kind: awsfake.Denied, Skip: 1, Times: 1})
	tasks := func() (n int) {
		for i := range w.tenures {
			if w.tenures[i].Workload.TaskARN != "" {
				n++
			}
		}
		return n
	}
	w.after(time.Second)
	if n := tasks(); n != 100 || len(w.tenures) != 250 {
		t.Errorf("%d tasks of %d sessions at first", n, len(w.tenures))
	}
	w.after(30 * time.Second)
	if n := tasks(); n != 250 {
		t.Errorf("%d tasks in the end", n)
	}
	if n := w.Server.Calls()["DescribeTasks"]; n != 4 {
		t.Errorf("tasks were described %d times", n)
	}
}

// Tasks that are not mirrored are described once, however seldom there is a new
// one, and forgotten once the lists lack them for long.
func TestWholeTasksOfOthers(t *testing.T) {
	w := newWhole(t, nil)
	var others []awsfake.Task
	for n := range 150 {
		others = append(others, w.runIn("prod", fmt.Sprintf("10.0.1.%d", n+1), 0))
	}
	for n := range 4 {
		task := w.runIn("prod", fmt.Sprintf("10.0.2.%d", n+1), uint32(n+1))
		w.after(time.Hour)
		w.after(time.Hour)
		if w.named(task) == nil {
			t.Fatalf("task %d is not found", n)
		}
	}
	if n := w.Server.Calls()["DescribeTasks"]; n != 2+3 {
		t.Errorf("tasks were described %d times", n)
	}
	for _, task := range others {
		w.stopTask(task)
	}
	w.runIn("prod", "10.0.3.1", 9)
	w.after(2 * time.Hour)
	if n := len(w.scopes[0].tasks.known); n != 5 {
		t.Errorf("%d tasks are known of 5 that run", n)
	}
}

// Tasks of clusters that are listed no more make room.
func TestTasksAreBounded(t *testing.T) {
	w := newWhole(t, nil)
	w.runTask(1)
	w.after(time.Second)
	known := w.scopes[0].tasks.known
	for n := len(known); n < maxTasks; n++ {
		arn := fmt.Sprintf("arn:aws:ecs:us-east-1:111122223333:task/gone/%d", n)
		known[arn] = &knownTask{Task: awsapi.Task{ARN: arn, ClusterARN: "gone", InterfaceID: fmt.Sprint("eni-", n)}, seen: w.clock}
	}
	w.after(time.Second)
	if n := len(w.scopes[0].tasks.clusters); n != 2 {
		t.Errorf("%d clusters are known", n)
	}
	task := w.runIn("prod", "10.0.2.1", 2)
	w.after(30 * time.Second)
	if w.named(task) == nil || len(known) != 2 {
		t.Errorf("the new task is not found, %d are known", len(known))
	}
	if n := len(w.scopes[0].tasks.clusters); n != 1 {
		t.Errorf("%d clusters are known without it", n)
	}
}
