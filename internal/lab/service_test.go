package lab_test

import (
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/awsfake"
	"github.com/periscope-collector/periscope/internal/lab"
)

// A service has as many tasks as it shall, at AWS and in the lab, with the
// addresses of a pool. They talk from when they are told to until they stop.
type service struct {
	*stage
	name   string
	status func(r *running, status string) // called when a task has come to a status
	count  func(*running) (int, error)     // called when a task has said its last: frames mirrored
	free   []netip.Addr                    // the longest unused first
	now    []*running                      // the oldest first
	all    []*running
	speech map[*running]*speech
}

// newService has a pool of so many addresses.
func newService(s *stage, name string, pool int) *service {
	v := &service{stage: s, name: name, speech: make(map[*running]*speech)}
	for i := range pool {
		v.free = append(v.free, netip.AddrFrom4([4]byte{10, 0, 1, byte(10 + i)}))
	}
	s.t.Cleanup(func() {
		for _, p := range v.speech {
			p.end()
		}
	})
	return v
}

// scale makes it so many tasks; the oldest go first.
func (v *service) scale(n int) {
	v.t.Helper()
	v.begin(n - len(v.now))
	v.end(len(v.now) - n)
}

// redeploy replaces all tasks by as many, which have to be settled first.
func (v *service) redeploy(settled func([]*running)) {
	v.t.Helper()
	n := len(v.now)
	v.begin(n)
	settled(v.now)
	v.end(n)
}

func (v *service) begin(n int) {
	v.t.Helper()
	var made []*running
	for range n {
		address := v.free[0]
		v.free = v.free[1:]
		r := v.run(awsfake.Run{Service: v.name, Address: address, Status: "PROVISIONING"}, 20000+len(v.all))
		v.now, v.all, made = append(v.now, r), append(v.all, r), append(made, r)
		v.status(r, "PROVISIONING")
	}
	v.move(made, "PENDING", "ACTIVATING", "RUNNING")
}

// end ends the oldest tasks. They talk until their interfaces go.
func (v *service) end(n int) {
	v.t.Helper()
	if n <= 0 {
		return
	}
	old := v.now[:n]
	v.now = slices.Clone(v.now[n:])
	v.move(old, "DEACTIVATING", "STOPPING")
	for _, r := range old {
		v.hush(r)
		r.Stop()
	}
	v.move(old, "DEPROVISIONING", "STOPPED")
	for _, r := range old {
		v.free = append(v.free, r.Address)
	}
}

// move takes tasks through statuses, one after the other.
func (v *service) move(tasks []*running, statuses ...string) {
	v.t.Helper()
	for _, status := range statuses {
		for _, r := range tasks {
			if _, err := v.aws.SetTask(r.arn, status); err != nil {
				v.t.Fatal(err)
			}
			v.status(r, status)
		}
	}
}

// talk has a task talk from now on.
func (v *service) talk(r *running) { v.speech[r] = newSpeech(v.t, r) }

// hush ends what a task says, and counts what of it was mirrored.
func (v *service) hush(r *running) {
	v.t.Helper()
	v.speech[r].end()
	frames, err := v.count(r)
	if err != nil {
		v.t.Fatal(err)
	}
	r.frames = frames
}

// A speech is what a task says, again and again.
type speech struct {
	once sync.Once
	stop chan struct{}
	done chan struct{}
}

func newSpeech(t *testing.T, r *running) *speech {
	p := &speech{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(p.done)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			if err := r.say(2); err != nil {
				t.Error(err)
				return
			}
			select {
			case <-tick.C:
			case <-p.stop:
				return
			}
		}
	}()
	return p
}

// end returns when the last word is said and answered.
func (p *speech) end() {
	p.once.Do(func() { close(p.stop) })
	<-p.done
}

// settled waits until so many frames of each task were mirrored.
func (v *service) settled(tasks []*running, frames int) {
	v.t.Helper()
	for _, r := range tasks {
		lab.Eventually(v.t, "frames of task "+r.id+" are mirrored", func() bool {
			sent, err := r.Sent()
			if err != nil {
				v.t.Fatal(err)
			}
			return sent >= frames
		})
	}
}
