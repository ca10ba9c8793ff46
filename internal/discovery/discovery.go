package discovery

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/periscope-collector/periscope/internal/awsapi"
	"github.com/periscope-collector/periscope/internal/backoff"
	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
	"github.com/periscope-collector/periscope/session/journal"
)

// A Config says whom to ask and whom to tell.
type Config struct {
	AWS       *config.AWS // nil: nobody is asked
	Announced bool        // senders are heard
	Table     *session.Table
	Journal   *journal.Journal // nil for none
	Log       *slog.Logger     // must not be nil
}

// A Discovery keeps a table in step with AWS. Its methods may be called from any
// goroutine, Run once.
type Discovery struct {
	table     *session.Table
	keeper    *keeper // nil without a journal
	log       *slog.Logger
	poll      time.Duration
	targets   map[string]bool // that are configured; empty: this instance's
	metadata  func(context.Context) (awsapi.Self, error)
	scopes    []*scope
	follower  *follower // nil without changes to read
	strangers strangers
	started   time.Time
	static    sync.Once // logged that there are no credentials
	ears      *ears     // nil: senders are not heard

	imds     sync.Mutex // held while metadata are asked
	self     *awsapi.Self
	selfless backoff.Pause

	mu      sync.Mutex // guards what follows
	tenures []tenure
	learnt  int // tenures in the table
	claims  claims
}

// New returns a discovery whose table knows what the journal says. It asks
// nothing before Run.
func New(c Config) *Discovery {
	d := &Discovery{
		table: c.Table, log: c.Log, targets: make(map[string]bool), metadata: awsapi.Metadata, started: time.Now(),
		strangers: strangers{waiting: make(chan *packet.Session, maxWaiting), asked: make(map[session.Identity]asked)},
		claims:    newClaims(),
	}
	if c.Announced {
		d.ears = &ears{waiting: make(chan announcement, maxUnheard), recent: make(map[session.Identity]bool)}
		d.strangers.patience = announcedIn
	}
	d.keeper = newKeeper(c.Journal, c.Log, d.restate)
	if c.AWS != nil {
		d.ask(c.AWS)
		d.follower = newFollower(d, c.AWS.Changes, c.Journal)
	}
	d.remember(c.Journal, d.started)
	return d
}

// ask makes the scopes that are to be asked.
func (d *Discovery) ask(aws *config.AWS) {
	d.poll = time.Duration(aws.Poll)
	for _, id := range aws.Targets {
		d.targets[id] = true
	}
	api := awsapi.Config{Log: d.log}
	for _, a := range aws.Accounts {
		api.Accounts = append(api.Accounts, awsapi.Account{RoleARN: a.RoleARN, ExternalID: a.ExternalID, Regions: a.Regions})
	}
	for _, client := range awsapi.Open(api) {
		d.scopes = append(d.scopes, newScope(d, client))
	}
}

// remember begins with the tenures of the journal.
func (d *Discovery) remember(j *journal.Journal, now time.Time) {
	if j == nil {
		return
	}
	entries, err := j.Current(now.Add(-endedStay))
	if err != nil {
		d.log.Error("what the journal of sessions says is not known until AWS says it", "error", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range entries {
		if e.Announced {
			d.recall(e, now)
			continue
		}
		t := tenure{Entry: e}
		if e.Until != 0 {
			t.ended = time.Unix(0, e.Until)
		}
		d.tenures = append(d.tenures, t)
	}
	d.learn(now)
	if d.learnt > 0 {
		d.log.Info("sessions of the journal are in use until AWS says otherwise", "sessions", d.learnt)
	}
}

// Run asks AWS again and again until ctx is done, and returns when the journal has
// what was found. That waits for its disk, and nothing else does.
func (d *Discovery) Run(ctx context.Context) {
	found, written := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(written)
		d.keeper.run(found)
	}()
	var wg sync.WaitGroup
	for _, s := range d.scopes {
		wg.Go(func() { s.run(ctx) })
	}
	wg.Go(func() { d.follower.run(ctx) })
	if len(d.scopes) > 0 {
		wg.Go(func() { d.answer(ctx) })
	}
	if d.ears != nil {
		wg.Go(func() { d.listen(ctx) })
	}
	wg.Wait()
	for _, s := range d.scopes {
		s.api.Close()
	}
	close(found)
	<-written
}

// restate gives the journal all that is known.
func (d *Discovery) restate() {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make([]session.Entry, 0, len(d.tenures)+len(d.claims.all))
	for i := range d.tenures {
		all = append(all, d.tenures[i].Entry)
	}
	for _, c := range d.claims.all {
		all = append(all, c.Entry)
	}
	d.keeper.give(all, len(all))
}

func (d *Discovery) inTable(now time.Time) int {
	n := 0
	for i := range d.tenures {
		if d.tenures[i].inTable(now) {
			n++
		}
	}
	return n
}

// learn gives the table its tenures, and the journal those that were announced. The
// caller holds mu.
func (d *Discovery) learn(now time.Time) {
	entries := make([]session.Entry, 0, len(d.tenures))
	for i := range d.tenures {
		if d.tenures[i].inTable(now) {
			entries = append(entries, d.tenures[i].Entry)
		}
	}
	d.learnt = len(entries)
	claimed, changed := d.claims.entries(d.tenures)
	d.table.Learn(append(entries, claimed...))
	d.strangers.known(changed)
	d.keeper.give(changed, len(d.tenures)+len(d.claims.all))
}

// pursue returns the interfaces whose tasks are known for good, and the tasks of
// sessions that are gone, by cluster: of those that the inventory's scope has
// listed, and of the account's that nobody has.
func (d *Discovery) pursue(v *inventory) (done map[string]bool, gone map[string][]string) {
	listed := make(map[string]bool, len(v.sessions))
	for i := range v.sessions {
		face, asked := v.interfaces[v.sessions[i].InterfaceID]
		listed[v.sessions[i].ID] = face != nil || !asked
	}
	done, gone = make(map[string]bool), make(map[string][]string)
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.tenures {
		t := &d.tenures[i]
		w := &t.Workload
		switch {
		case w.TaskARN == "" || t.Until != 0:
		case listed[w.SessionID]:
			if len(w.ContainerIDs) > 0 && !t.partial {
				done[w.InterfaceID] = true
			}
		case t.scope == v.scope, t.scope == nil && w.AccountID == v.account && w.Region == v.region:
			gone[w.ClusterARN] = append(gone[w.ClusterARN], w.TaskARN)
		}
	}
	return done, gone
}

// own returns what is known of this instance, or nil.
func (d *Discovery) own(ctx context.Context, now time.Time) *awsapi.Self {
	d.imds.Lock()
	defer d.imds.Unlock()
	if d.self == nil && d.selfless.Due(now) {
		self, err := d.metadata(ctx)
		if err != nil {
			d.selfless.Extend(now, refreshEvery, refreshEvery)
			return nil
		}
		d.self = &self
	}
	return d.self
}

// ours returns whether a mirror target is this instance's, as far as any scope
// has listed it.
func (d *Discovery) ours(target string) (ours, known bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.aimedAtUs(target)
}

// aimedAtUs is ours. The caller holds mu.
func (d *Discovery) aimedAtUs(target string) (ours, known bool) {
	for _, s := range d.scopes {
		if ours, known = s.targets[target]; known {
			return ours, true
		}
	}
	return false, false
}

// JournalError returns why the journal does not have what the table has, beyond
// the last moment, or nil.
func (d *Discovery) JournalError() error { return d.keeper.problem(time.Now()) }

// Status returns what is known of each account and region. The slice is the
// caller's.
func (d *Discovery) Status() []Scope {
	now := time.Now()
	sessions := make(map[*scope]int)
	d.mu.Lock()
	for i := range d.tenures {
		if d.tenures[i].Until == 0 {
			sessions[d.tenures[i].scope]++
		}
	}
	d.mu.Unlock()
	all := make([]Scope, 0, len(d.scopes))
	for _, s := range d.scopes {
		status := s.status(now)
		status.Sessions = sessions[s]
		all = append(all, status)
	}
	return all
}
