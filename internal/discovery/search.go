package discovery

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/periscope-collector/periscope/internal/awsapi"
	"github.com/periscope-collector/periscope/internal/backoff"
)

// A search is what one look does for the tasks of interfaces.
type search struct {
	*tasks
	faces        map[string]*awsapi.Interface
	byAttachment map[string]string     // ids of interfaces
	matched      map[string]*knownTask // by interface
	lacking      map[string]bool       // interfaces without a task; whether that was not looked for in vain lately
	lacks        map[string]*lack      // how many, by cluster as interfaces name it; "" for those that name none
	now          time.Time
}

// A lack is how many interfaces lack their task.
type lack struct {
	all int
	due int // of those
}

func newSearch(t *tasks, faces map[string]*awsapi.Interface, now time.Time) *search {
	s := &search{
		tasks: t, faces: faces, now: now, byAttachment: make(map[string]string, len(faces)),
		matched: make(map[string]*knownTask, len(faces)), lacking: make(map[string]bool), lacks: make(map[string]*lack),
	}
	for id, face := range faces {
		s.byAttachment[attachment(face)] = id
	}
	for _, k := range t.known {
		if id := s.face(k); id != "" {
			s.matched[id] = k
		}
	}
	return s
}

// face returns which of the interfaces a task is of, "" for none.
func (s *search) face(k *knownTask) string {
	if s.faces[k.InterfaceID] != nil {
		return k.InterfaceID
	}
	return s.byAttachment[k.AttachmentID]
}

// describe is that of tasks; an interface whose task it finds lacks it no more.
func (s *search) describe(ctx context.Context, cluster string, arns []string) error {
	taken, err := s.tasks.describe(ctx, cluster, arns, s.now)
	for _, k := range taken {
		id := s.face(k)
		if id == "" {
			k.trim()
			continue
		}
		s.matched[id] = k
		if due, ok := s.lacking[id]; ok {
			s.lacks[s.faces[id].Tags[clusterTag]].add(-1, due)
			delete(s.lacking, id)
			delete(s.absent, id)
		}
	}
	return err
}

func (l *lack) add(n int, due bool) {
	l.all += n
	if due {
		l.due += n
	}
}

// follow describes the tasks that are known and not settled.
func (s *search) follow(ctx context.Context, done func(id string) bool) {
	again := make(map[string][]string) // ARNs by cluster
	for id, k := range s.matched {
		if !done(id) && (!k.full || !settled(&k.Task)) {
			again[k.ClusterARN] = append(again[k.ClusterARN], k.ARN)
		}
	}
	for _, cluster := range s.inTurn(slices.Collect(maps.Keys(again))) {
		s.try(cluster, s.now, func() error { return s.describe(ctx, cluster, again[cluster]) })
	}
}

// run lists the running tasks of the clusters that an interface that lacks its
// task may belong to, and if that is not enough the stopped ones.
func (s *search) run(ctx context.Context, done func(id string) bool) {
	for id, face := range s.faces {
		if s.matched[id] != nil || done(id) {
			continue
		}
		p, name := s.absent[id], face.Tags[clusterTag]
		if s.lacks[name] == nil {
			s.lacks[name] = &lack{}
		}
		s.lacking[id] = p.Due(s.now)
		s.lacks[name].add(1, p.Due(s.now))
	}
	clusters := s.inTurn(s.candidates(ctx))
	for _, stopped := range []bool{false, true} {
		for _, cluster := range clusters {
			if s.worth(cluster) {
				s.try(cluster, s.now, func() error { return s.list(ctx, cluster, stopped) })
			}
		}
	}
	s.note()
}

// candidates returns the clusters that an interface that lacks its task may
// belong to.
func (s *search) candidates(ctx context.Context) []string {
	var clusters []string
	for name := range s.lacks {
		if name != "" {
			clusters = append(clusters, name)
		}
	}
	if s.lacks[""] == nil {
		return clusters
	}
	if s.now.Sub(s.listed) >= refreshEvery && s.nameless.Due(s.now) && !s.mute {
		names, err := s.api.Clusters(ctx)
		if s.nameless.result(err, s.now); err == nil {
			s.names, s.listed = names, s.now
		}
		s.mute = general(err)
	}
	if s.nameless.err != nil {
		return clusters
	}
	for _, arn := range s.names {
		if s.lacks[last(arn)] == nil {
			clusters = append(clusters, arn)
		}
	}
	return clusters
}

// inTurn sorts clusters by name, those that fail last.
func (s *search) inTurn(clusters []string) []string {
	slices.SortFunc(clusters, func(a, b string) int {
		return cmp.Or(cmp.Compare(s.delay(a), s.delay(b)), cmp.Compare(a, b))
	})
	return clusters
}

func (s *search) delay(cluster string) time.Duration {
	if c := s.clusters[last(cluster)]; c != nil {
		return c.failing.Delay
	}
	return 0
}

// worth reports whether a list of a cluster's tasks may have what is lacking:
// what is due, or after a failure anything.
func (s *search) worth(cluster string) bool {
	failing := s.delay(cluster) != 0
	for _, name := range []string{last(cluster), ""} {
		if l := s.lacks[name]; l != nil && (l.due > 0 || failing && l.all > 0) {
			return true
		}
	}
	return false
}

// list lists tasks of a cluster, and describes those that are not known.
func (s *search) list(ctx context.Context, cluster string, stopped bool) error {
	arns, err := s.api.TaskARNs(ctx, cluster, stopped)
	if err != nil && awsapi.KindOf(err) != awsapi.NotFound {
		return err
	}
	s.cluster(cluster).listed = s.now
	var unknown []string
	for _, arn := range arns {
		if k := s.known[arn]; k != nil {
			k.seen = s.now
		} else {
			unknown = append(unknown, arn)
		}
	}
	return s.describe(ctx, cluster, unknown[:s.makeRoom(len(unknown), s.now)])
}

// note remembers which of the interfaces that were due still lack their task,
// unless it was not looked for everywhere.
func (s *search) note() {
	for id, due := range s.lacking {
		p, again := s.absent[id]
		switch {
		case !due || s.mute || s.faces[id].Tags[clusterTag] == "" && s.nameless.err != nil:
		case again:
			p.Extend(s.now, absentShortest, absentLongest)
			s.absent[id] = p
		default:
			s.absent[id] = backoff.Pause{} // ECS may be late
		}
	}
}
