package lab_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/awsfake"
	"github.com/periscope-collector/periscope/internal/ecsmeta"
	"github.com/periscope-collector/periscope/internal/lab"
)

// sidecarSettings take tasks by what they say of themselves.
const sidecarSettings = `aws: {journal: sessions.journal, changes: changes, poll: 5s}
sessions: {announced: true}
sinks:
  pcap: {dir: captures}
  flowlog: {dir: flows, format: json, interval: 10s}
`

// refusal is what AWS says to every session.
var refusal = awsfake.Error{Code: "UnsupportedOperation", Message: "The network interface is managed by another service and cannot be a source of traffic mirroring."}

// TestSidecarsOnly is TestMirrorFollowsTasks where AWS refuses every session: each
// task has a container beside its own that mirrors its interface and says whose it
// is. What AWS refused is shown, task by task.
func TestSidecarsOnly(t *testing.T) {
	lab.Need(t, "go", "curl", "ss")
	t.Setenv("GORACE", "atexit_sleep_ms=0") // else each sidecar takes a second to end
	s := newStage(t, build(t))
	program := buildCommand(t, "periscope-mirror")
	write(t, filepath.Join(s.dir, "periscope.yaml"), sidecarSettings)
	write(t, filepath.Join(s.dir, "rules.yaml"), followRules)
	s.aws.Fail(awsfake.Fault{Operation: "CreateTrafficMirrorSession", Kind: awsfake.Refused, Error: refusal})
	s.start()
	began := time.Now()
	f := newFunction(t, program, 2,
		"PERISCOPE_RULES="+filepath.Join(s.dir, "rules.yaml"), "PERISCOPE_CHANGES="+filepath.Join(s.dir, "changes"))
	f.every(t, 2*time.Second, []byte(schedule))
	v := newService(s, "web", 24)
	sidecars := make(map[*running]*lab.Program)
	v.status = func(r *running, status string) {
		f.tell(s.aws.TaskEvent(r.arn))
		switch status {
		case "ACTIVATING":
			sidecars[r] = s.sidecar(r)
		case "RUNNING": // the task's own container waits for the one beside it
			lab.Eventually(t, "the sidecar of "+r.id+" mirrors", func() bool { return strings.Contains(sidecars[r].Output(), "mirroring") })
			v.talk(r)
		}
	}
	v.count = func(r *running) (int, error) {
		frames, err := passed(r)
		if e := sidecars[r].Stop(syscall.SIGTERM); e != nil {
			err = errors.Join(err, fmt.Errorf("a sidecar ended with %w\n%s", e, sidecars[r].Output()))
		}
		return frames, err
	}
	v.story(func(tasks []*running) {
		for _, r := range tasks {
			lab.Eventually(t, "task "+r.id+" talks", func() bool {
				frames, err := passed(r)
				if err != nil {
					t.Fatal(err)
				}
				return frames >= 50
			})
		}
		s.refused(tasks)
	})
	if made := s.aws.Made(); len(made) != 0 {
		t.Errorf("there are sessions after all: %+v", made)
	}
	s.finish()
	s.check(v.all, filepath.Join(s.dir, "captures"), filepath.Join(s.dir, "flows"))
	t.Log(f)
	asked := s.aws.Calls()["CreateTrafficMirrorSession"]
	most := 4 // of three environments that remember, and again after 1, 2, 4 minutes
	for wait, left := time.Minute, time.Since(began); left >= wait; wait *= 2 {
		most, left = most+3, left-wait
	}
	if t.Logf("%d sessions asked for, all refused", asked); asked > most*len(v.all) {
		t.Errorf("that is too often for so many tasks, %d times each", most)
	}
	v.logDelays()
}

// refused waits until the collector shows what AWS said of each task, in its words,
// and counts it.
func (s *stage) refused(tasks []*running) {
	s.t.Helper()
	lab.Eventually(s.t, "what AWS refused is shown", func() bool {
		shown := make(map[string]bool)
		for line := range strings.Lines(s.lab.Collector.Run(s.program, "sessions")) {
			if strings.Contains(line, refusal.Code) && strings.Contains(line, refusal.Message) {
				shown[strings.Fields(line)[0]] = true
			}
		}
		return !slices.ContainsFunc(tasks, func(r *running) bool { return !shown[r.card] })
	})
	metrics := s.lab.Collector.Run("curl", "-sf", "http://127.0.0.1:9477/metrics")
	if !strings.Contains(metrics, fmt.Sprintf("periscope_mirror_refused_interfaces{code=%q} ", refusal.Code)) {
		s.t.Error("the metrics do not have what AWS refused")
	}
}

// sidecar starts the container beside a task's own.
func (s *stage) sidecar(r *running) *lab.Program {
	s.t.Helper()
	var metadata net.Listener
	var err error
	if e := r.Do(func() { metadata, err = net.Listen("tcp4", "127.0.0.1:0") }); e != nil || err != nil {
		s.t.Fatal(e, err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		var task awsfake.Task
		s.home(func(region *awsfake.Region) { task = *region.Tasks[r.arn] })
		awsfake.TaskMetadata(task, "", netip.MustParsePrefix("10.0.0.0/16")).ServeHTTP(w, q)
	})}
	go server.Serve(metadata)
	s.t.Cleanup(func() { server.Close() })
	return r.Start("", "env", ecsmeta.Variable+"=http://"+metadata.Addr().String()+"/v4/"+r.id,
		s.program, "send", "--interface", "t0", "--cpu", "0", "--to", lab.CollectorAddr.String()+":4789")
}

// passed returns how many frames went through a task's interface, either way.
func passed(r *running) (int, error) {
	out, err := r.Command("cat", "/sys/class/net/t0/statistics/rx_packets", "/sys/class/net/t0/statistics/tx_packets").Output()
	total := 0
	for word := range strings.FieldsSeq(string(out)) {
		n, e := strconv.Atoi(word)
		err = errors.Join(err, e)
		total += n
	}
	return total, err
}
