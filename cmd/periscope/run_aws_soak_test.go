//go:build soak

package main

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/awsfake"
)

// What TestSoakSessionChurn has come and go.
const (
	churnTime   = 10 * time.Minute
	churnSteady = 3 * time.Minute // when it takes what it will
	churnStep   = 100 * time.Millisecond
	churnNew    = 10 // sessions of a step
	churnLife   = 20 * time.Second
	churnPlaces = 4096 // addresses, each of which is another's after 41 s
	churnFrames = 2    // at a time
	churnEager  = 40   // of so many one sends at once

	churnJournal = 4 << 20
	churnSamples = 120 // every 5 s of ten minutes
	churnWindow  = 12  // of them are compared, after minute 3 and at the end
)

// churnTimes are the ages at which a session sends: the first once AWS has told
// of it, as a rule.
var churnTimes = []time.Duration{10 * time.Second, 13 * time.Second, 16 * time.Second, 19 * time.Second}

// For ten minutes 100 sessions a second come and go, of instances and tasks that
// take each other's addresses. Nothing is lost, every flow is under the name of
// its session, and at the end the program takes what it took at minute 3.
func TestSoakSessionChurn(t *testing.T) {
	length := churnTime
	if os.Getenv("PERISCOPE_SOAK") != "" {
		length = min(soakTime(t), churnTime)
	}
	f := newFleet(t)
	c := collect(t, setup{
		capture: `allow: ["127.0.0.0/8"]`, rotate: "every: 1h", pcap: "group: all, buffer: 8MiB",
		sinks: "flowlog: {dir: flows, format: json, interval: 1m, buffer: 8MiB}",
		more:  "aws: {poll: 5s, journal_size: 4MiB}\nflows: {table: 20000, idle: 10s}",
	})
	f.to = net.UDPAddrFromAddrPort(c.vxlan)
	dropped := machineDropped(t)
	var samples []churnSample
	spent := c.processorTime()
	tick := time.NewTicker(churnStep)
	defer tick.Stop()
	steps := int(length / churnStep)
	for step := range steps {
		<-tick.C
		f.churn(step)
		if step%(steps/churnSamples) != steps/churnSamples-1 {
			continue
		}
		samples = append(samples, c.churnSample())
		if len(samples)%(churnSamples/10) == 0 {
			t.Logf("%s: %+v, %d sessions, %d frames, processor time %s", churnStep*time.Duration(step+1), samples[len(samples)-1], len(f.all), f.sent, c.processorTime()-spent)
		}
	}
	spent = c.processorTime() - spent
	if early := int(churnSteady * churnSamples / length); length >= 2*churnSteady {
		compareChurn(t, samples[early:][:churnWindow], samples[churnSamples-churnWindow:])
	} else {
		t.Logf("%s is too short to compare its end with minute 3", length)
	}
	eventually(t, "all are known", func() bool { return f.named(c) })
	c.waitReceived(f.sent)
	log := c.log.String()
	compacted := strings.Count(log, `msg="session journal compacted"`)
	if compacted == 0 || strings.Contains(log, "level=ERROR") {
		t.Errorf("the journal was compacted %d times; or there is an error in the log", compacted)
	}
	f.accounts(c, dropped)
	files := readTree(t, c.out)
	noPartial(t, files)
	seen := sequences(t, files, "all")
	once(t, seen, 0, 0)
	records, before := f.checkFlows(filepath.Join(c.dir, "flows"))
	if len(seen) != f.sent || before > len(f.all)/100 {
		t.Errorf("%d frames in files, %d sent; %d flow records were written before AWS told whose they are", len(seen), f.sent, before)
	}
	t.Logf("%d sessions, %d frames, %d flow records (%d before AWS told whose they are) in %s; the collector took %s of processor time, %.1f%% of one; the journal was compacted %d times; AWS was called %v",
		len(f.all), f.sent, records, before, length, spent, 100*spent.Seconds()/length.Seconds(), compacted, f.aws.Calls())
}

// churn has sessions begin, send and end, as it is their time.
func (f *fleet) churn(step int) {
	f.t.Helper()
	of := func(age time.Duration) []*mirrored { // those that began so long ago
		from := (step - int(age/churnStep)) * churnNew
		if from < 0 {
			return nil
		}
		return f.all[from : from+churnNew]
	}
	for _, m := range f.stop() { // ended a step ago
		if m.number%1000 == 0 {
			f.forget(m.number)
		}
	}
	for i := range churnNew {
		n := step*churnNew + i
		if m := f.run(n % churnPlaces); n%churnEager == 7 {
			f.send(m, churnFrames)
		}
	}
	for _, age := range churnTimes {
		for _, m := range of(age) {
			f.send(m, churnFrames)
		}
	}
	for _, m := range of(churnLife) {
		f.end(m.place)
	}
}

// forget has AWS forget the instances and stopped tasks of long ago, sooner than
// it would, so that the test does not take the time.
func (f *fleet) forget(before int) {
	f.aws.Change(func(s *awsfake.State) {
		r := s.Region(awsfake.HomeAccount, awsfake.HomeRegion)
		for _, m := range f.all[max(before-3000, 0):max(before-2000, 0)] {
			delete(r.Instances, m.instance)
			delete(r.Tasks, m.task)
		}
	})
}

// named reports whether the collector has heard from AWS of everybody that
// lives, and has no strangers.
func (f *fleet) named(c *collector) bool {
	f.t.Helper()
	if series := c.metrics(); series[`periscope_sessions{known="false"}`] != 0 {
		return false
	}
	learnt := make(map[string]bool)
	for _, s := range c.sessions().Sessions {
		learnt[s.Name] = s.Learned
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.live {
		if m != nil && !learnt[m.name] {
			return false
		}
	}
	return true
}

// A churnSample is what the program takes at one moment.
type churnSample struct {
	sample
	series  int   // lines of /metrics that are values
	journal int64 // bytes
	entries int   // files and directories below its own
}

func (c *collector) churnSample() churnSample {
	c.t.Helper()
	s := churnSample{sample: c.sample()}
	_, body := c.get("/metrics")
	for line := range strings.Lines(body) {
		if !strings.HasPrefix(line, "#") {
			s.series++
		}
	}
	info, err := os.Stat(filepath.Join(c.dir, "sessions.journal"))
	if err != nil {
		c.t.Fatal(err)
	}
	s.journal = info.Size()
	err = filepath.WalkDir(c.dir, func(_ string, _ fs.DirEntry, err error) error {
		s.entries++
		if os.IsNotExist(err) {
			return nil // it was completed since
		}
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return s
}

var processorTicks = regexp.MustCompile(`\) \S+(?: \S+){10} (\d+) (\d+) `)

// processorTime returns the time that the process took of processors, as a user
// and in the kernel.
func (c *collector) processorTime() time.Duration {
	c.t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.cmd.Process.Pid))
	if err != nil {
		c.t.Fatal(err)
	}
	m := processorTicks.FindSubmatch(stat)
	if m == nil {
		c.t.Fatalf("no times in %s", stat)
	}
	var ticks int
	for _, text := range m[1:] {
		n, err := strconv.Atoi(string(text))
		if err != nil {
			c.t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond // USER_HZ is 100
}

// compareChurn holds the samples of the end against those of minute 3: the
// median, of what may be there for a moment the least.
func compareChurn(t *testing.T, early, late []churnSample) {
	t.Helper()
	for _, tt := range []struct {
		what string
		of   func(churnSample) int
		rank int
		more func(early int) int // that it may be
	}{
		{"goroutines", func(s churnSample) int { return s.goroutines }, 0, func(int) int { return 0 }},
		{"descriptors", func(s churnSample) int { return s.others }, 0, func(int) int { return 0 }},
		// Captures, journal, two locks, and of what is known and what is not the
		// flows of five minutes, and those of the five before.
		{"open files", func(s churnSample) int { return s.files }, 0, func(n int) int { return max(8-n, 0) }},
		{"KiB of anonymous memory", func(s churnSample) int { return s.anonymous }, churnWindow / 2, func(n int) int { return n/10 + 8<<10 }},
		{"KiB of heap", func(s churnSample) int { return s.heap }, churnWindow / 2, func(n int) int { return n/10 + 8<<10 }},
		{"series", func(s churnSample) int { return s.series }, churnWindow / 2, func(n int) int { return n / 100 }},
		// Seven for the flows of strangers, once a minute ends while there are some,
		// and two files of flows every five minutes.
		{"files and directories", func(s churnSample) int { return s.entries }, 0, func(int) int { return 7 + 2*int(churnTime/(5*time.Minute)) }},
	} {
		value := func(window []churnSample) int {
			var values []int
			for _, s := range window {
				values = append(values, tt.of(s))
			}
			slices.Sort(values)
			return values[tt.rank]
		}
		before, after := value(early), value(late)
		t.Logf("%s: %d after minute 3, %d at the end", tt.what, before, after)
		if after > before+tt.more(before) {
			t.Errorf("%s: %d after minute 3, %d at the end: at most %d more are right", tt.what, before, after, tt.more(before))
		}
	}
	for _, s := range slices.Concat(early, late) {
		// One look's statements may go beyond its size before it is written anew.
		if s.journal > churnJournal*5/4 {
			t.Errorf("the journal has %d bytes, want %d at most", s.journal, churnJournal*5/4)
		}
	}
}
