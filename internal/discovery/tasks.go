package discovery

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/periscope-collector/periscope/internal/awsapi"
)

const (
	// maxTasks is how many tasks of one scope are remembered: those of
	// interfaces that are not mirrored with some 500 bytes, so that they are
	// not described again.
	maxTasks = 50_000

	// forgetTask is after how long a task that is in no list is forgotten.
	forgetTask = 10 * time.Minute

	clusterTag = "aws:ecs:clusterName"
)

// tasks finds the ECS tasks that interfaces were made for. It belongs to one
// goroutine.
type tasks struct {
	api client

	known    map[string]*knownTask // by ARN
	clusters []string
	listed   time.Time        // when clusters were
	absent   map[string]pause // interfaces whose task was not found
	failing  failure
}

type knownTask struct {
	awsapi.Task
	full bool // else only ARNs and ids are kept
	seen time.Time
}

// find returns the tasks known of the interfaces, by interface. It asks for
// those that are new or not settled, unless done says that nothing more is to be
// learnt of them.
func (t *tasks) find(ctx context.Context, faces map[string]*awsapi.Interface, done func(id string) bool, now time.Time) (map[string]*awsapi.Task, error) {
	if t.known == nil {
		t.known, t.absent = make(map[string]*knownTask), make(map[string]pause)
	}
	maps.DeleteFunc(t.absent, func(id string, _ pause) bool { return faces[id] == nil })
	if t.failing.due(now) {
		t.failing.result(t.search(ctx, faces, done, now), now)
	}
	found := make(map[string]*awsapi.Task)
	for id, k := range t.match(faces) {
		if k.full {
			found[id] = &k.Task
		}
	}
	t.forget(faces, now)
	return found, t.failing.err
}

// search asks for the tasks: those known and not settled first, then for those
// in the lists of clusters.
func (t *tasks) search(ctx context.Context, faces map[string]*awsapi.Interface, done func(id string) bool, now time.Time) error {
	matched := t.match(faces)
	again := make(map[string][]string) // ARNs by cluster
	for id, k := range matched {
		if !done(id) && (!k.full || !settled(&k.Task)) {
			again[k.ClusterARN] = append(again[k.ClusterARN], k.ARN)
		}
	}
	for _, cluster := range slices.Sorted(maps.Keys(again)) {
		if err := t.describe(ctx, cluster, again[cluster], now); err != nil {
			return err
		}
	}
	lacking := make(map[string]*awsapi.Interface)
	for id, face := range faces {
		if p := t.absent[id]; matched[id] == nil && !done(id) && p.due(now) {
			lacking[id] = face
		}
	}
	if len(lacking) == 0 {
		return nil
	}
	if err := t.searchClusters(ctx, lacking, now); err != nil {
		return err
	}
	t.note(faces, lacking, now)
	return nil
}

// searchClusters lists the running tasks of the clusters that an interface that
// lacks its task may belong to, and if that is not enough the stopped ones.
func (t *tasks) searchClusters(ctx context.Context, lacking map[string]*awsapi.Interface, now time.Time) error {
	named := make(map[string]bool)
	anywhere := false
	for _, face := range lacking {
		if name := face.Tags[clusterTag]; name != "" {
			named[name] = true
		} else {
			anywhere = true
		}
	}
	clusters := slices.Sorted(maps.Keys(named))
	if anywhere {
		if now.Sub(t.listed) >= refreshEvery {
			all, err := t.api.Clusters(ctx)
			if err != nil {
				return err
			}
			t.clusters, t.listed = all, now
		}
		for _, arn := range t.clusters {
			if !named[last(arn)] {
				clusters = append(clusters, arn)
			}
		}
	}
	for _, stopped := range []bool{false, true} {
		for _, cluster := range clusters {
			if len(t.match(lacking)) == len(lacking) {
				return nil
			}
			if err := t.searchCluster(ctx, cluster, stopped, now); err != nil && awsapi.KindOf(err) != awsapi.NotFound {
				return err
			}
		}
	}
	return nil
}

func (t *tasks) searchCluster(ctx context.Context, cluster string, stopped bool, now time.Time) error {
	arns, err := t.api.TaskARNs(ctx, cluster, stopped)
	if err != nil {
		return err
	}
	var unknown []string
	for _, arn := range arns {
		if k := t.known[arn]; k != nil {
			k.seen = now
		} else {
			unknown = append(unknown, arn)
		}
	}
	return t.describe(ctx, cluster, unknown[:min(len(unknown), max(0, maxTasks-len(t.known)))], now)
}

// describe asks for tasks. One that has no interface yet is not remembered.
func (t *tasks) describe(ctx context.Context, cluster string, arns []string, now time.Time) error {
	if len(arns) == 0 {
		return nil
	}
	list, err := t.api.Tasks(ctx, cluster, arns)
	if err != nil {
		return err
	}
	for _, task := range list {
		if task.InterfaceID != "" || task.AttachmentID != "" || settled(&task) {
			t.known[task.ARN] = &knownTask{Task: task, full: true, seen: now}
		}
	}
	return nil
}

// match returns the known tasks of the interfaces, by interface.
func (t *tasks) match(faces map[string]*awsapi.Interface) map[string]*knownTask {
	byAttachment := make(map[string]string, len(faces))
	for id, face := range faces {
		byAttachment[attachment(face)] = id
	}
	matched := make(map[string]*knownTask, len(faces))
	for _, k := range t.known {
		id := k.InterfaceID
		if faces[id] == nil {
			id = byAttachment[k.AttachmentID]
		}
		if faces[id] != nil {
			matched[id] = k
		}
	}
	return matched
}

// note remembers which interfaces still lack their task.
func (t *tasks) note(faces, lacking map[string]*awsapi.Interface, now time.Time) {
	matched := t.match(faces)
	for id := range lacking {
		p, again := t.absent[id]
		switch {
		case matched[id] != nil:
			delete(t.absent, id)
		case again:
			p.extend(now, absentShortest, absentLongest)
			t.absent[id] = p
		default:
			t.absent[id] = pause{} // ECS may be late
		}
	}
}

// forget drops tasks that are in no list any more, and keeps of those whose
// interface is not mirrored only which one it is.
func (t *tasks) forget(faces map[string]*awsapi.Interface, now time.Time) {
	wanted := make(map[string]bool, len(faces))
	for _, k := range t.match(faces) {
		wanted[k.ARN] = true
	}
	for arn, k := range t.known {
		switch {
		case wanted[arn]:
		case now.Sub(k.seen) >= forgetTask:
			delete(t.known, arn)
		case k.full:
			k.full = false
			k.Task = awsapi.Task{ARN: k.ARN, ClusterARN: k.ClusterARN, InterfaceID: k.InterfaceID, AttachmentID: k.AttachmentID}
		}
	}
}

// stopped returns when tasks stopped, by ARN, of those that have: the tasks of
// entries, by cluster.
func (t *tasks) stopped(ctx context.Context, clusters map[string][]string) (map[string]time.Time, error) {
	at := make(map[string]time.Time)
	for _, cluster := range slices.Sorted(maps.Keys(clusters)) {
		list, err := t.api.Tasks(ctx, cluster, clusters[cluster])
		if err != nil && awsapi.KindOf(err) != awsapi.NotFound {
			return at, err
		}
		for i := range list {
			if !list[i].Stopped.IsZero() {
				at[list[i].ARN] = list[i].Stopped
			}
		}
	}
	return at, nil
}
