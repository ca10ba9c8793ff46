package lab_test

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/periscope-collector/periscope/internal/awsfake"
	"github.com/periscope-collector/periscope/internal/lab"
)

// A region does to the lab's tasks what AWS does to interfaces: each is mirrored
// while it has a session, with the VNI of that. Its methods may be called from any
// goroutine.
type region struct {
	stage *stage

	mu    sync.Mutex
	tasks map[string]*running // by interface
}

// newRegion follows what AWS knows until the test ends.
func newRegion(s *stage) *region {
	g := &region{stage: s, tasks: make(map[string]*running)}
	done := make(chan struct{})
	var following sync.WaitGroup
	following.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				g.follow()
			case <-done:
				return
			}
		}
	})
	s.t.Cleanup(func() {
		close(done)
		following.Wait()
	})
	return g
}

// add has a task mirrored when it has a session.
func (g *region) add(r *running) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tasks[r.card] = r
}

// follow looks once, and has the kernel mirror what is to be.
func (g *region) follow() {
	g.mu.Lock()
	defer g.mu.Unlock()
	active := g.look()
	for card, r := range g.tasks {
		var err error
		if vni := active[card]; vni != 0 {
			err = r.Mirror(vni)
		} else {
			err = r.Unmirror()
		}
		if err != nil {
			g.stage.t.Error(err)
		}
	}
}

// look returns the VNI of each interface's session.
func (g *region) look() map[string]uint32 {
	active := make(map[string]uint32)
	g.stage.home(func(home *awsfake.Region) {
		for _, session := range home.Sessions {
			active[session.InterfaceID] = session.VNI
		}
	})
	return active
}

// exactly waits until the tasks have sessions, and the other interfaces, and
// nothing else has.
func (g *region) exactly(tasks []*running, others []string) {
	g.stage.t.Helper()
	want := slices.Clone(others)
	for _, r := range tasks {
		want = append(want, r.card)
	}
	slices.Sort(want)
	lab.Eventually(g.stage.t, "what is to be mirrored is, and nothing else", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return slices.Equal(slices.Sorted(maps.Keys(g.look())), want)
	})
}

// check fails the test unless each task had one session in its life, and beside
// them only the other interfaces had.
func (g *region) check(all []*running, others []string) {
	g.stage.t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	want := slices.Clone(others)
	for _, r := range all {
		want = append(want, r.card)
	}
	var had []string
	for _, made := range g.stage.aws.Made() {
		had = append(had, made.InterfaceID)
	}
	slices.Sort(had)
	slices.Sort(want)
	if !slices.Equal(had, want) {
		g.stage.t.Errorf("sessions were made of\n%v, want\n%v", had, want)
	}
}
