package discovery

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/periscope-collector/periscope/internal/backoff"
	"github.com/periscope-collector/periscope/session"
	"github.com/periscope-collector/periscope/session/journal"
)

const (
	// maxUnwritten is how many tenures may wait for the journal beyond as many as are
	// known: 64 MiB of such that are known no more, with 2 KiB each.
	maxUnwritten = 32 << 10

	// hangs is how long a write takes at most as long as the disk is well: to write
	// 64 MiB anew.
	hangs = 10 * time.Second
)

// A keeper gives the journal what changes. A goroutine of its own waits for the
// disk, and nothing else does. The nil keeper has no journal.
type keeper struct {
	journal *journal.Journal
	log     *slog.Logger
	restate func()        // has all that is known given again
	wake    chan struct{} // of one place: something waits

	mu      sync.Mutex // guards what follows; not held while the journal writes
	waiting []session.Entry
	at      map[session.Tenure]int // where it is in waiting
	room    int                    // how many may wait, with those that are being written
	missed  int                    // statements that found no place
	writing int                    // entries that the journal has now
	since   time.Time              // when it got them
	err     error                  // of the last write
}

func newKeeper(j *journal.Journal, log *slog.Logger, restate func()) *keeper {
	if j == nil {
		return nil
	}
	return &keeper{journal: j, log: log, restate: restate, wake: make(chan struct{}, 1), at: make(map[session.Tenure]int)}
}

// give has entries written soon, of each tenure the last one. known is how many
// tenures are known, so that there is room for all.
func (k *keeper) give(entries []session.Entry, known int) {
	if k == nil || len(entries) == 0 {
		return
	}
	k.mu.Lock()
	k.room = maxUnwritten + known
	k.take(entries)
	k.mu.Unlock()
	select {
	case k.wake <- struct{}{}:
	default: // it is about to look
	}
}

// take adds entries to those that wait. The caller holds mu.
func (k *keeper) take(entries []session.Entry) {
	for i := range entries {
		tenure := entries[i].Tenure()
		at, ok := k.at[tenure]
		switch {
		case ok:
			k.waiting[at] = entries[i]
		case len(k.waiting)+k.writing >= k.room:
			k.missed++
		default:
			k.at[tenure] = len(k.waiting)
			k.waiting = append(k.waiting, entries[i])
		}
	}
}

// run writes what is given until stop is closed, and then what is left.
func (k *keeper) run(stop <-chan struct{}) {
	if k == nil {
		return
	}
	var failing backoff.Pause
	var retry <-chan time.Time
	wake := k.wake
	for stopped := false; !stopped; {
		select {
		case <-stop:
			stopped = true
		case <-wake:
		case <-retry:
		}
		if k.write() {
			wake, retry, failing = k.wake, nil, backoff.Pause{}
		} else {
			failing.Extend(time.Now(), failShortest, failLongest)
			wake, retry = nil, time.After(failing.Delay)
		}
	}
}

// write has the journal write what waits, and reports whether it does. What it
// does not write waits on, but for what was stated anew meanwhile.
func (k *keeper) write() bool {
	batch := k.begin()
	if len(batch) == 0 {
		return true
	}
	err := k.journal.Append(batch)
	if unfit, ok := errors.AsType[*journal.UnfitError](err); ok {
		k.log.Error("sessions are left out of the journal; replay and a restart will not know them", "error", unfit)
		err = nil
	}
	missed, before := k.end(batch, err)
	switch {
	case err != nil && before == nil:
		k.log.Error("the journal of sessions cannot be written; a restart will not know the latest ones", "error", err)
	case err == nil && before != nil:
		k.log.Info("the journal of sessions can be written again")
	}
	if missed > 0 {
		k.log.Warn("the journal of sessions was not written for so long that statements found no place; tenures that ended meanwhile may be missing in it",
			"statements", missed)
		k.restate()
	}
	return err == nil
}

// begin takes what waits.
func (k *keeper) begin() []session.Entry {
	k.mu.Lock()
	defer k.mu.Unlock()
	batch := k.waiting
	k.waiting = nil
	clear(k.at)
	k.writing, k.since = len(batch), time.Now()
	return batch
}

// end takes down how the write of a batch went. It returns, if it went well, how
// many statements were missed, and how the write before went.
func (k *keeper) end(batch []session.Entry, err error) (missed int, before error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	before, k.err, k.writing = k.err, err, 0
	if err == nil {
		missed, k.missed = k.missed, 0
		return missed, before
	}
	newer := k.waiting
	k.waiting = nil
	clear(k.at)
	k.take(batch)
	k.take(newer)
	return 0, before
}

// problem returns why the journal is not as the table is, or nil.
func (k *keeper) problem(now time.Time) error {
	if k == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if took := now.Sub(k.since); k.writing > 0 && took > hangs {
		return fmt.Errorf("a write of the session journal takes %s so far; look at its disk", took.Truncate(time.Second))
	}
	return k.err
}
