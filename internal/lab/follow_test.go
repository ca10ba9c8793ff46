package lab_test

import (
	"cmp"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/awsfake"
	"github.com/periscope-collector/periscope/internal/lab"
)

// followSettings have the collector told of sessions by who makes them, too.
const followSettings = `aws: {journal: sessions.journal, changes: changes, poll: 5s}
sinks:
  pcap: {dir: captures}
  flowlog: {dir: flows, format: json, interval: 10s}
`

// followRules want the service web mirrored, and nothing else.
const followRules = `owner: the-lab
targets: [{id: ` + target + `}]
sources:
  - name: web
    match: {service: [web]}
    filter: ` + filter + `
`

// TestMirrorFollowsTasks has a service scale and be redeployed while the Lambda
// function is told of it as EventBridge tells: late, twice, out of order, or not at
// all. The kernel mirrors each task while AWS has a session for it. In the end all
// tasks are mirrored and nothing else, each had one session in its life, and what
// was mirrored is in files and records of the right task.
func TestMirrorFollowsTasks(t *testing.T) {
	lab.Need(t, "go", "curl", "ss")
	s := newStage(t, build(t))
	program := buildCommand(t, "periscope-mirror")
	write(t, filepath.Join(s.dir, "periscope.yaml"), followSettings)
	write(t, filepath.Join(s.dir, "rules.yaml"), followRules)
	others := s.others()
	s.start()
	g := newRegion(s)
	f := newFunction(t, program, 1,
		"PERISCOPE_RULES="+filepath.Join(s.dir, "rules.yaml"), "PERISCOPE_CHANGES="+filepath.Join(s.dir, "changes"))
	f.every(t, 2*time.Second, []byte(schedule))
	v := newService(s, "web", 24)
	v.status = func(r *running, status string) {
		f.tell(s.aws.TaskEvent(r.arn))
		if status == "PROVISIONING" { // so early, since the image comes by the interface, too
			g.add(r)
			v.talk(r)
		}
	}
	v.count = func(r *running) (int, error) {
		if g.look()[r.card] == 0 {
			t.Errorf("task %s has its interface still, and no session", r.id)
		}
		return r.Sent()
	}
	v.story(func(tasks []*running) { v.settled(tasks, 50) })
	g.exactly(v.now, others)
	f.settle(t) // so that what it would do wrong now is done
	g.exactly(v.now, others)
	g.check(v.all, others)
	s.finish()
	s.check(v.all, filepath.Join(s.dir, "captures"), filepath.Join(s.dir, "flows"))
	t.Log(f)
	v.logDelays()
}

// others has AWS know what is not to be touched: a task of another service, and a
// session of somebody else's. It returns the interfaces that have a session.
func (s *stage) others() (mirrored []string) {
	s.t.Helper()
	if _, err := s.aws.RunTask(awsfake.Run{
		Account: awsfake.HomeAccount, Region: awsfake.HomeRegion, Service: "db", Address: netip.MustParseAddr("10.0.2.1"),
	}); err != nil {
		s.t.Fatal(err)
	}
	_, card, err := s.aws.RunInstance(awsfake.HomeAccount, awsfake.HomeRegion, "theirs", netip.MustParseAddr("10.0.2.2"))
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.aws.Mirror(awsfake.HomeAccount, awsfake.HomeRegion, card.ID, 7); err != nil {
		s.t.Fatal(err)
	}
	return []string{card.ID}
}

// story is the life of a service: it scales, and is redeployed twice. Tasks go only
// when those that are to have settled.
func (v *service) story(settled func([]*running)) {
	v.t.Helper()
	began := time.Now()
	step := func(what string) {
		v.t.Logf("%5.1f s: %s, %d tasks", time.Since(began).Seconds(), what, len(v.now))
	}
	for _, n := range []int{20, 5, 12} {
		v.scale(n)
		step("scaled")
		settled(v.now)
		step("settled")
	}
	for range 2 {
		v.redeploy(settled)
		step("redeployed")
	}
	for _, r := range v.now {
		v.hush(r)
	}
}

// finish stops the collector when it has all that was mirrored, and says that its
// account is balanced.
func (s *stage) finish() {
	s.t.Helper()
	lab.Eventually(s.t, "the collector has read its sockets empty", func() bool { return unread(s.t, s.lab.Collector) == 0 })
	s.stop()
	got := readSummary(s.t, filepath.Join(s.dir, "summary.json"))
	if !got.Balanced || sum(got.LostBeforeUs) != 0 {
		s.t.Errorf("the collector's account is %+v", got)
	}
}

// logDelays says how long it took from when AWS knew an interface until its first
// frame was mirrored.
func (v *service) logDelays() {
	v.t.Helper()
	var delays []time.Duration
	for _, r := range v.all {
		files, _ := filepath.Glob(filepath.Join(v.dir, "captures", "*-"+r.id[:8], "*.pcap"))
		frames := slices.DeleteFunc(readFrames(v.t, files...), announced)
		if len(frames) == 0 {
			return // which is a failure already
		}
		first := slices.MinFunc(frames, func(a, b frame) int { return cmp.Compare(a.time.UnixNano(), b.time.UnixNano()) })
		delays = append(delays, first.time.Sub(r.known).Round(time.Millisecond))
	}
	slices.Sort(delays)
	v.t.Logf("from interface known to first mirrored packet: median %v, 90 %% %v, max %v",
		delays[len(delays)/2], delays[len(delays)*9/10], delays[len(delays)-1])
}
