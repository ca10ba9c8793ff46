package discovery

import (
	"cmp"
	"context"
	"strings"
	"sync"
	"time"

	"github.com/periscope-collector/periscope/internal/awsapi"
	"github.com/periscope-collector/periscope/internal/backoff"
	"github.com/periscope-collector/periscope/mirror/changes"
	"github.com/periscope-collector/periscope/session"
	"github.com/periscope-collector/periscope/session/journal"
)

// How often changes are read. A list of S3 is made for each account and region, and
// each minute once more: 19,000 a day of one. AWS takes 5 USD for a million.
const (
	dirEvery = 2 * time.Second
	s3Every  = 5 * time.Second
)

// s3Rate is how many requests a second S3 has at most, after a first 200. Of each
// change there is one.
const s3Rate = 50

// readBack is how far back changes are read at the start. The journal has what is
// older.
const readBack = time.Hour

// rereadEvery is how often tenures that ended are forgotten while nothing changes.
const rereadEvery = time.Minute

// atOnce is about how many changes are taken over at once: some 2 MiB, and 64 KiB
// each at worst. With 10,000 sessions that takes 50 ms.
const atOnce = 1000

// unread is after how long without success changes may be missing.
const unread = time.Minute

// A follower reads what whoever mirrors has done, and keeps what AWS refused. The
// nil follower has no changes to read.
type follower struct {
	d       *Discovery
	objects changes.Objects
	s3      *awsapi.Objects // or nil
	every   time.Duration

	// Of the goroutine that reads.
	reader     *changes.Reader
	recalled   bool // the refusals of before the start are known
	failing    failure
	told       time.Time // when the tenures were told something last
	complained time.Time // when damage was logged last
	damaged    uint64    // objects, as logged last
	passed     bool      // changes are passed over, as logged last

	// Guarded by d.mu.
	over recent[deletion, int64]       // when sessions were deleted, in ns
	gone recent[session.Tenure, int64] // when tenures ended, in ns

	mu      sync.Mutex      // guards what follows
	places  []changes.Place // that they tell of
	tried   bool            // to read
	status  Changes
	refused refusals
}

// Changes is how it stands with the changes that are read.
type Changes struct {
	LastSuccess time.Time         // when all were read last; zero: not yet
	StaleSince  time.Time         // since when some may be missing; zero: none is
	Error       string            // why not all were read, empty for nothing
	Read        uint64            // since the start
	Left        map[string]uint64 // that are of no use, by reason
	Calls       map[string]uint64 // of S3, by operation
}

func newFollower(d *Discovery, from string, j *journal.Journal) *follower {
	if from == "" {
		return nil
	}
	f := &follower{d: d, objects: changes.Dir(from), every: dirEvery}
	if strings.HasPrefix(from, "s3://") {
		var err error
		if f.s3, err = awsapi.OpenObjects(from, awsapi.Config{RatePerSecond: s3Rate, Burst: 4 * s3Rate, Log: d.log}); err != nil {
			d.log.Error("changes of mirror sessions are not read", "error", err) // aws.changes was validated
			return nil
		}
		f.objects, f.every = f.s3, s3Every
	}
	f.reader = changes.NewReader(f.objects, d.started.Add(-readBack))
	f.refused.of = make(map[iface]*Refusal)
	f.status.Left = make(map[string]uint64)
	for _, reason := range [...]string{"damaged", "limit", "no_address", "no_vni", "odd"} {
		f.status.Left[reason] = 0 // there from the start
	}
	if j != nil {
		entries, _ := j.Current(d.started.Add(-readBack)) // what is wrong with it, remember says
		f.ended(entries, d.started)
	}
	return f
}

// run reads the changes again and again until ctx is done.
func (f *follower) run(ctx context.Context) {
	if f == nil {
		return
	}
	for ctx.Err() == nil {
		now := time.Now()
		f.read(ctx, now)
		wait := f.every
		if f.failing.err != nil {
			wait = f.failing.Delay
		}
		next := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			next.Stop()
		case <-next.C:
		}
	}
	if f.s3 != nil {
		f.s3.Close()
	}
}

// read takes over all changes that there are.
func (f *follower) read(ctx context.Context, now time.Time) {
	problem := f.recall(ctx, now)
	var waiting []changes.Change
	for more := true; more; {
		var batch []changes.Change
		var err error
		batch, more, err = f.reader.Next(ctx, now)
		if problem == nil {
			problem = err
		}
		more = more && err == nil
		if waiting = append(waiting, batch...); !more || len(waiting) >= atOnce {
			f.take(waiting, now)
			waiting = nil
		}
	}
	if ctx.Err() == nil {
		f.report(problem, now)
	}
}

// recall takes down the refusals of before the start, once.
func (f *follower) recall(ctx context.Context, now time.Time) error {
	if f.recalled {
		return nil
	}
	list, err := changes.NewLog(f.objects).Refusals(ctx, changes.Place{}, now.Add(-refusedStay))
	if err != nil && len(list) == 0 {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range list {
		f.refused.take(&list[i], now)
	}
	if n := len(f.refused.of); n > 0 {
		f.d.log.Info("interfaces that AWS refused to mirror before the start; see \"periscope sessions\"", "interfaces", n)
	}
	f.recalled = true
	return err
}

// take takes over changes.
func (f *follower) take(batch []changes.Change, now time.Time) {
	f.mu.Lock()
	for i := range batch {
		c := &batch[i]
		if f.refused.take(c, now) {
			f.d.log.Warn("AWS refuses to mirror an interface", "interface", c.InterfaceID, "workload", workload(c), "account", c.Account,
				"region", c.Region, "code", clean(c.Code, maxCode), "message", clean(c.Message, maxMessage))
		}
	}
	f.refused.expire(now)
	f.mu.Unlock()
	if len(batch) > 0 || now.Sub(f.told) >= rereadEvery {
		f.told = now
		f.d.follow(batch, now)
	}
}

// ended takes down that tenures ended, so that changes that come late do not say
// again what is known better.
func (f *follower) ended(entries []session.Entry, now time.Time) {
	if f == nil {
		return
	}
	for i := range entries {
		if entries[i].Until != 0 {
			f.gone.put(entries[i].Tenure(), entries[i].Until, now)
		}
	}
}

// report takes down how a reading went, and logs what is other than before.
func (f *follower) report(err error, now time.Time) {
	before := f.failing.err
	if f.failing.err = err; err == nil {
		f.failing.Pause = backoff.Pause{}
	} else {
		f.failing.Extend(now, f.every, failLongest)
	}
	stats := f.reader.Stats()
	places := f.reader.Places()
	f.mu.Lock()
	first := !f.tried
	f.tried, f.places = true, places
	f.status.Read, f.status.Left["damaged"] = stats.Read, stats.Damaged
	f.status.Error = ""
	if err == nil {
		f.status.LastSuccess = now
	}
	if said := cmp.Or(err, stats.Passed); said != nil {
		f.status.Error = said.Error()
	}
	f.mu.Unlock()
	switch {
	case err != nil && before == nil:
		f.d.log.Warn("changes of mirror sessions cannot be read; sessions are known when AWS lists them", "error", err)
	case err == nil && before != nil:
		f.d.log.Info("changes of mirror sessions can be read again")
	}
	if first && err == nil && len(places) == 0 {
		f.d.log.Info("there are no changes of mirror sessions yet; see that periscope-mirror writes where aws.changes says")
	}
	if passed := stats.Passed != nil; passed != f.passed {
		if f.passed = passed; passed {
			f.d.log.Warn("changes of an account are passed over", "error", stats.Passed)
		}
	}
	if stats.Damaged > f.damaged && now.Sub(f.complained) >= time.Minute {
		f.d.log.Warn("objects that should be changes of mirror sessions are damaged, and passed over", "objects", stats.Damaged-f.damaged,
			"last", stats.Damage)
		f.damaged, f.complained = stats.Damaged, now
	}
}
