package discovery

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/periscope-collector/periscope/internal/awsapi"
	"github.com/periscope-collector/periscope/internal/backoff"
)

const (
	// maxTasks is how many tasks of one scope are remembered: those of
	// interfaces that are not mirrored with some 500 bytes, so that they are
	// not described again.
	maxTasks = 50_000

	// forgetTask is after how long a task is forgotten that the lists of its
	// cluster do not have any more.
	forgetTask = 10 * time.Minute

	clusterTag = "aws:ecs:clusterName"
)

// tasks finds the ECS tasks that interfaces were made for. It belongs to one
// goroutine.
type tasks struct {
	api client

	known    map[string]*knownTask    // by ARN
	clusters map[string]*cluster      // by name: those with known tasks, and those that fail
	absent   map[string]backoff.Pause // interfaces whose task was not found
	names    []string                 // ARNs of all clusters
	listed   time.Time                // when they were
	nameless failure                  // they cannot be listed
	mute     bool                     // a call of this look failed as others would: they wait for the next look
}

type knownTask struct {
	awsapi.Task
	full bool      // else only ARNs and ids are kept
	seen time.Time // when it was described, or in a list last
}

// trim keeps which task it is, and whose.
func (k *knownTask) trim() {
	if k.full {
		k.Task = awsapi.Task{ARN: k.ARN, ClusterARN: k.ClusterARN, InterfaceID: k.InterfaceID, AttachmentID: k.AttachmentID}
		k.full = false
	}
}

// A cluster is what is known of one, beside its tasks.
type cluster struct {
	listed  time.Time // when its tasks were
	failing failure
}

// find returns the tasks known of the interfaces, by interface. It asks for
// those that are new or not settled, unless done says that nothing more is to be
// learnt of them.
func (t *tasks) find(ctx context.Context, faces map[string]*awsapi.Interface, done func(id string) bool, now time.Time) map[string]*awsapi.Task {
	if t.known == nil {
		t.known, t.absent, t.clusters = make(map[string]*knownTask), make(map[string]backoff.Pause), make(map[string]*cluster)
	}
	t.mute = false
	maps.DeleteFunc(t.absent, func(id string, _ backoff.Pause) bool { return faces[id] == nil })
	s := newSearch(t, faces, now)
	s.follow(ctx, done)
	s.run(ctx, done)
	t.forget(s.matched, now)
	found := make(map[string]*awsapi.Task, len(s.matched))
	for id, k := range s.matched {
		if k.full {
			found[id] = &k.Task
		}
	}
	return found
}

// try makes calls about a cluster, unless they failed lately. A cluster that is
// gone has no tasks.
func (t *tasks) try(name string, now time.Time, calls func() error) {
	c := t.cluster(name)
	if t.mute || !c.failing.Due(now) {
		return
	}
	err := calls()
	if awsapi.KindOf(err) == awsapi.NotFound {
		err = nil
	}
	c.failing.result(err, now)
	t.mute = general(err)
}

// general reports whether an error is likely to be that of other calls too, each
// of which may take until its time-out.
func general(err error) bool {
	switch awsapi.KindOf(err) {
	case awsapi.None, awsapi.Denied, awsapi.NotFound, awsapi.Other:
		return false
	}
	return true
}

func (t *tasks) cluster(arn string) *cluster {
	name := last(arn)
	if t.clusters[name] == nil {
		t.clusters[name] = &cluster{}
	}
	return t.clusters[name]
}

// describe asks for tasks, and takes over those that it gets. One that has no
// interface yet is not remembered.
func (t *tasks) describe(ctx context.Context, cluster string, arns []string, now time.Time) ([]*knownTask, error) {
	if len(arns) == 0 {
		return nil, nil
	}
	list, err := t.api.Tasks(ctx, cluster, arns)
	var taken []*knownTask
	for i := range list {
		if task := &list[i]; task.InterfaceID != "" || task.AttachmentID != "" || settled(task) {
			k := &knownTask{Task: *task, full: true, seen: now}
			t.known[task.ARN] = k
			taken = append(taken, k)
		}
	}
	return taken, err
}

// forget drops tasks that the lists of their cluster do not have any more, and
// keeps of those whose interface is not mirrored only which one it is.
func (t *tasks) forget(matched map[string]*knownTask, now time.Time) {
	wanted := make(map[string]bool, len(matched))
	for _, k := range matched {
		wanted[k.ARN] = true
	}
	used := make(map[string]bool)
	for arn, k := range t.known {
		switch {
		case wanted[arn]:
		case t.cluster(k.ClusterARN).listed.Sub(k.seen) >= forgetTask:
			delete(t.known, arn)
			continue
		default:
			k.trim()
		}
		used[last(k.ClusterARN)] = true
	}
	maps.DeleteFunc(t.clusters, func(name string, c *cluster) bool { return !used[name] && c.failing.err == nil })
}

// makeRoom forgets tasks of interfaces that are not mirrored, until n more can be
// remembered: those that this look did not list, whose clusters may never be
// listed again.
func (t *tasks) makeRoom(n int, now time.Time) (room int) {
	if len(t.known)+n > maxTasks {
		maps.DeleteFunc(t.known, func(_ string, k *knownTask) bool { return !k.full && k.seen.Before(now) })
	}
	return min(n, max(0, maxTasks-len(t.known)))
}

// stopped returns when tasks stopped, by ARN, of those that have: the tasks of
// entries, by cluster.
func (t *tasks) stopped(ctx context.Context, clusters map[string][]string, now time.Time) map[string]time.Time {
	at := make(map[string]time.Time)
	for _, cluster := range slices.Sorted(maps.Keys(clusters)) {
		t.try(cluster, now, func() error {
			list, err := t.api.Tasks(ctx, cluster, clusters[cluster])
			for i := range list {
				if !list[i].Stopped.IsZero() {
					at[list[i].ARN] = list[i].Stopped
				}
			}
			return err
		})
	}
	return at
}

// problem ends a look: it returns the first error that stays, and forgets those
// of which the look had no call to make.
func (t *tasks) problem(now time.Time) error {
	if t.nameless.Due(now) && !t.mute {
		t.nameless = failure{}
	}
	err := t.nameless.err
	for _, name := range slices.Sorted(maps.Keys(t.clusters)) {
		c := t.clusters[name]
		if c.failing.Due(now) && !t.mute {
			c.failing = failure{}
		}
		if err == nil {
			err = c.failing.err
		}
	}
	return err
}
