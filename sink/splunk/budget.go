package splunk

import (
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/periscope-collector/periscope/packet"
)

// A Budget bounds the bytes of events of a UTC day by type, envelopes included
// and before compression; 0 is no bound. At 80 % it says so. Beyond it the flows
// of each minute are rolled up: the Top ones of each session by bytes are sent,
// and the others dropped as budget, as all frames and ledger events are.
type Budget struct {
	Flow, VPCFlow, Frame, Ledger int64
	Top                          int
}

const (
	budgetName = "budget.json"

	// rollMost bounds the flows that are kept of a minute: 3 MiB of each type.
	// The flows of sessions that come when it is reached are dropped.
	rollMost = 10_000

	rollEvery = time.Minute
)

// A budget is what was spent of it. It is the encoder's.
type budget struct {
	e     *encoder
	path  string
	limit [numKinds]int64
	top   int
	on    bool

	day    string // 2006-01-02
	spent  [numKinds]int64
	warned [numKinds]bool

	due  time.Time // of the roll-up
	roll [numKinds]map[*packet.Session][]packet.Flow
	free bool // what is put is of a roll-up
}

// spending is the file that keeps a budget over a restart.
type spending struct {
	Day   string           `json:"day"`
	Bytes map[string]int64 `json:"bytes"`
}

func newBudget(e *encoder) *budget {
	c := &e.s.cfg.Budget
	b := &budget{
		e:     e,
		path:  filepath.Join(e.s.cfg.Dir, budgetName),
		limit: [numKinds]int64{ledgerKind: c.Ledger, flowKind: c.Flow, vpcFlowKind: c.VPCFlow, frameKind: c.Frame},
		top:   c.Top,
	}
	b.on = b.limit != [numKinds]int64{}
	now := e.s.cfg.now().UTC()
	b.day, b.due = now.Format(time.DateOnly), now.Truncate(rollEvery).Add(rollEvery)
	for k := range b.roll {
		b.roll[k] = make(map[*packet.Session][]packet.Flow)
	}
	if b.on {
		b.load()
	}
	return b
}

// load reads what was spent of this day before.
func (b *budget) load() {
	text, err := os.ReadFile(b.path)
	if os.IsNotExist(err) {
		return
	}
	var s spending
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		b.e.s.warn("the budget spent today is not known and begins at 0", "file", b.path, "error", err)
		return
	}
	if s.Day == b.day {
		for k := range b.spent {
			b.spent[k] = max(s.Bytes[kinds[k].name], 0)
		}
	}
}

func (b *budget) save() {
	s := spending{Day: b.day, Bytes: make(map[string]int64)}
	for k, n := range b.spent {
		s.Bytes[kinds[k].name] = n
	}
	text, _ := json.Marshal(s) // of strings and numbers
	err := os.WriteFile(b.path+".partial", append(text, '\n'), 0o600)
	if err == nil {
		err = os.Rename(b.path+".partial", b.path)
	}
	if err != nil {
		b.e.s.warn("what was spent of the budget is not written down", "error", err)
	}
}

// takes spends n bytes, or reports that they are too many.
func (b *budget) takes(k kind, n int) bool {
	limit := b.limit[k]
	if limit == 0 {
		return true
	}
	if b.spent[k]+int64(n) > limit && !b.free {
		return false
	}
	b.spent[k] += int64(n)
	if !b.warned[k] && b.spent[k] >= limit/10*8 {
		b.warned[k] = true
		b.e.s.cfg.Log.Warn("80 % of the day's budget for Splunk is spent", "type", kinds[k].name, "spent", b.spent[k], "budget", limit)
	}
	return true
}

// holds keeps a flow for the roll-up, if the budget is spent. Of a session's it
// keeps the largest, and drops the others.
func (b *budget) holds(k kind, r *packet.Flow) bool {
	if b.limit[k] == 0 || b.free || b.spent[k] < b.limit[k]-maxEvent {
		return false
	}
	roll := b.roll[k]
	top, known := roll[r.Session]
	if b.top == 0 || !known && (len(roll)+1)*b.top > rollMost {
		b.drop(k, r)
		return true
	}
	if len(top) < b.top {
		roll[r.Session] = append(top, *r)
		return true
	}
	least := 0
	for i := range top {
		if volume(&top[i]) < volume(&top[least]) {
			least = i
		}
	}
	if volume(r) <= volume(&top[least]) {
		b.drop(k, r)
		return true
	}
	b.drop(k, &top[least])
	top[least] = *r
	return true
}

// maxEvent is more than an event of a flow has, so that a flow that is not held
// does fit.
const maxEvent = 16 << 10

func volume(r *packet.Flow) uint64 { return r.Side[0].Bytes + r.Side[1].Bytes }

// drop counts the events of a flow.
func (b *budget) drop(k kind, r *packet.Flow) {
	if k == flowKind {
		b.e.drop(packet.DropBudget)
		return
	}
	for i := range r.Side {
		if r.Side[i].Packets > 0 {
			b.e.drop(packet.DropBudget)
		}
	}
}

// tick ends a day, and a minute of the roll-up; at the end both.
func (b *budget) tick(now time.Time, end bool) {
	if !b.on || !end && !due(now, b.due, rollEvery) {
		return
	}
	now = now.UTC()
	b.due = now.Truncate(rollEvery).Add(rollEvery)
	b.rollUp(flowKind, b.e.appendFlow)
	b.rollUp(vpcFlowKind, b.e.appendVPCFlow)
	if day := now.Format(time.DateOnly); day != b.day {
		b.day, b.spent, b.warned = day, [numKinds]int64{}, [numKinds]bool{}
	}
	b.save()
}

// rollUp sends the top flows of every session, by session and then by bytes.
func (b *budget) rollUp(k kind, send func(*packet.Flow)) {
	var all []packet.Flow
	for session, top := range b.roll[k] {
		all = append(all, top...)
		delete(b.roll[k], session)
	}
	for i := range all {
		all[i].Session = all[i].Session.Identified()
	}
	slices.SortFunc(all, func(x, y packet.Flow) int {
		return cmp.Or(cmp.Compare(x.Session.ID, y.Session.ID), cmp.Compare(volume(&y), volume(&x)))
	})
	b.free = true
	for i := range all {
		send(&all[i])
	}
	b.free = false
}
