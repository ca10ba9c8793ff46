package cloud

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/periscope-collector/periscope/internal/awsapi"
	"github.com/periscope-collector/periscope/mirror"
)

// Look returns what there is, or with hints what these are about, and always all
// sessions and targets.
func (c *Cloud) Look(ctx context.Context, hints []mirror.Hint) (*mirror.State, error) {
	account, err := c.Account(ctx)
	if err != nil {
		return nil, err
	}
	l := look{
		cloud: c,
		state: &mirror.State{At: time.Now(), Account: account, Whole: len(hints) == 0, Targets: make(map[string]mirror.Target)},
		faces: make(map[string]*awsapi.Interface),
	}
	steps := []func(context.Context) error{l.sessions, l.targets}
	if l.state.Whole {
		if c.filters {
			steps = append(steps, l.filters)
		}
		steps = append(steps, l.allTasks, l.mirroredTasks, l.allInstances)
	} else {
		tasks, instances := c.sort(hints, account)
		steps = append(steps,
			func(ctx context.Context) error { return l.hintedTasks(ctx, tasks) },
			func(ctx context.Context) error { return l.hintedInstances(ctx, instances) })
	}
	for _, step := range append(steps, l.interfaces) {
		if err := step(ctx); err != nil {
			return nil, said(err)
		}
	}
	l.finish()
	return l.state, nil
}

// A look gathers a State.
type look struct {
	cloud *Cloud
	state *mirror.State

	tasks     []awsapi.Task                // with an interface
	instances map[string]*awsapi.Instance  // that run or are about to, by id
	faces     map[string]*awsapi.Interface // that were listed, by id
}

func (l *look) sessions(ctx context.Context) error {
	all, err := l.cloud.api.Sessions(ctx)
	for i := range all {
		l.state.Sessions = append(l.state.Sessions, fromAPI(&all[i]))
	}
	return err
}

func (l *look) targets(ctx context.Context) error {
	all, err := l.cloud.api.Targets(ctx)
	for _, t := range all {
		l.state.Targets[t.ID] = mirror.Target{ID: t.ID, Type: t.Type, InterfaceID: t.InterfaceID}
	}
	return err
}

// filters finds which mirror filters there are. Who may not ask does without.
func (l *look) filters(ctx context.Context) error {
	all, err := l.cloud.api.FilterIDs(ctx)
	if awsapi.KindOf(err) == awsapi.Denied {
		l.cloud.log.Warn("whether the filters of the rules are there is not known", "error", err)
		return nil
	}
	l.state.Filters = make(map[string]bool, len(all))
	for _, id := range all {
		l.state.Filters[id] = true
	}
	return err
}

// allTasks finds the tasks that are to run. A cluster that is deleted meanwhile has
// none.
func (l *look) allTasks(ctx context.Context) error {
	clusters, err := l.cloud.api.Clusters(ctx)
	if err != nil {
		return err
	}
	for _, cluster := range clusters {
		arns, err := l.cloud.api.TaskARNs(ctx, cluster, false)
		if err == nil {
			_, err = l.describe(ctx, cluster, arns)
		}
		if err != nil && awsapi.KindOf(err) != awsapi.NotFound {
			return err
		}
	}
	return nil
}

// mirroredTasks finds tasks that sessions name and no list has: a list may come late,
// and what is in none would be taken for gone. Anyone may have written a tag: what
// ECS would not take is not asked for.
func (l *look) mirroredTasks(ctx context.Context) error {
	listed := make(map[string]bool, len(l.tasks)+len(l.state.Gone))
	for i := range l.tasks {
		listed[l.tasks[i].InterfaceID] = true
	}
	for _, id := range l.state.Gone {
		listed[id] = true
	}
	missing := make(map[string][]string)
	for i := range l.state.Sessions {
		s := &l.state.Sessions[i]
		if id, cluster := s.Tags[mirror.TagTask], s.Tags[mirror.TagCluster]; taskID.MatchString(id) && clusterName.MatchString(cluster) && s.OwnerID == l.state.Account && !listed[s.InterfaceID] {
			listed[s.InterfaceID] = true
			missing[cluster] = append(missing[cluster], id)
		}
	}
	for _, cluster := range slices.Sorted(maps.Keys(missing)) {
		if _, err := l.describe(ctx, cluster, missing[cluster]); err != nil && awsapi.KindOf(err) != awsapi.NotFound {
			return err
		}
	}
	return nil
}

// hintedTasks finds tasks, given by cluster.
func (l *look) hintedTasks(ctx context.Context, hinted map[string][]string) error {
	for _, cluster := range slices.Sorted(maps.Keys(hinted)) {
		found, err := l.describe(ctx, cluster, hinted[cluster])
		if err != nil && awsapi.KindOf(err) != awsapi.NotFound {
			return err
		}
		for _, arn := range hinted[cluster] {
			if !found[arn] {
				l.forget(mirror.TagTask, last(arn))
			}
		}
	}
	return nil
}

// describe notes tasks with an interface, and returns which have one or are to get
// one. One that stops is a source as long as it is mirrored: it is not to be cut off,
// and not to begin.
func (l *look) describe(ctx context.Context, cluster string, arns []string) (found map[string]bool, err error) {
	tasks, err := l.cloud.api.Tasks(ctx, cluster, arns)
	if err != nil {
		return nil, err
	}
	found = make(map[string]bool, len(tasks))
	for i := range tasks {
		switch t := &tasks[i]; {
		case t.InterfaceID == "":
			found[t.ARN] = !stops(t)
		case ended[t.LastStatus]:
			l.end(t.InterfaceID)
			found[t.ARN] = true
		default:
			if !stops(t) || l.mirrored(t) {
				l.tasks = append(l.tasks, *t)
			}
			found[t.ARN] = true
		}
	}
	return found, nil
}

// mirrored reports whether a task has a session that was made for it.
func (l *look) mirrored(t *awsapi.Task) bool {
	return slices.ContainsFunc(l.state.Sessions, func(s mirror.Session) bool {
		return s.InterfaceID == t.InterfaceID && s.Tags[mirror.TagTask] == last(t.ARN)
	})
}

// forget ends what is mirrored for a task or an instance whose interface nobody
// tells any more: a tag of the session has its id.
func (l *look) forget(tag, id string) {
	for i := range l.state.Sessions {
		if s := &l.state.Sessions[i]; s.Tags[tag] == id {
			l.end(s.InterfaceID)
		}
	}
}

func (l *look) end(id string) {
	if !slices.Contains(l.state.Gone, id) {
		l.state.Gone = append(l.state.Gone, id)
	}
}

// allInstances finds the instances that run, and all interfaces in use.
func (l *look) allInstances(ctx context.Context) error {
	if !l.cloud.instances {
		return nil
	}
	instances, err := l.cloud.api.RunningInstances(ctx)
	if err != nil {
		return err
	}
	l.run(instances)
	faces, err := l.cloud.api.InterfacesInUse(ctx)
	l.list(faces)
	return err
}

// hintedInstances finds instances, and their interfaces.
func (l *look) hintedInstances(ctx context.Context, ids []string) error {
	if !l.cloud.instances || len(ids) == 0 {
		return nil
	}
	instances, err := l.cloud.api.Instances(ctx, ids)
	if err != nil {
		return err
	}
	l.run(instances)
	for _, id := range ids {
		if l.instances[id] == nil {
			l.forget(mirror.TagInstance, id)
		}
	}
	faces, err := l.cloud.api.InterfacesOf(ctx, ids)
	l.list(faces)
	return err
}

func (l *look) run(instances []awsapi.Instance) {
	l.instances = make(map[string]*awsapi.Instance, len(instances))
	for i := range instances {
		if state := instances[i].State; state == "running" || state == "pending" {
			l.instances[instances[i].ID] = &instances[i]
		}
	}
}

func (l *look) list(faces []awsapi.Interface) {
	for i := range faces {
		l.faces[faces[i].ID] = &faces[i]
	}
}

// interfaces asks for those of tasks and targets that are not listed yet.
func (l *look) interfaces(ctx context.Context) error {
	wanted := make(map[string]bool)
	for i := range l.tasks {
		wanted[l.tasks[i].InterfaceID] = true
	}
	for _, t := range l.state.Targets {
		wanted[t.InterfaceID] = true
	}
	delete(wanted, "")
	maps.DeleteFunc(wanted, func(id string, _ bool) bool { return l.faces[id] != nil })
	faces, err := l.cloud.api.Interfaces(ctx, slices.Sorted(maps.Keys(wanted)))
	l.list(faces)
	return err
}

func last(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }
