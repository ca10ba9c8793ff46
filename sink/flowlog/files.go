package flowlog

import "github.com/periscope-collector/periscope/sink/dir"

// file returns the slot's file, which it makes if need be: instead of one that
// is long enough, too.
func (w *writer) file(s slot) *file {
	w.uses++
	f := w.last
	if f == nil || f.slot != s {
		f = w.files[s]
	}
	if f != nil && f.end.offset >= maxFile && w.flush(f) {
		w.completeFile(f)
		f = nil
	}
	if f == nil {
		if len(w.files) >= w.config.OpenFiles {
			w.end(w.oldest())
		}
		f = &file{slot: s}
		w.files[s] = f
	}
	w.last, f.used = f, w.uses
	return f
}

// oldest returns the file that was used longest ago. A search through all of
// them costs less than the system calls that come with it.
func (w *writer) oldest() (oldest *file) {
	for _, f := range w.files {
		if oldest == nil || f.used < oldest.used {
			oldest = f
		}
	}
	return oldest
}

// flush writes the lines that wait, and reports whether none is left. The lines
// of a file that cannot be written wait until it can, which is tried again after
// a while.
func (w *writer) flush(f *file) bool {
	if f.empty() {
		return true
	}
	if f.failed && w.now.Before(f.retry) {
		return false
	}
	if err := w.write(f); err != nil {
		w.failure(f, err)
		return false
	}
	w.recovered(f)
	w.counts.held -= f.records
	w.counts.stored += f.records
	w.counts.lines += f.lines
	f.clear()
	w.publish()
	return true
}

// begin notes when the first line that waits in a file came.
func (w *writer) begin(f *file) {
	if f.empty() {
		f.since = w.now
	}
}

// flushAll writes all lines there are.
func (w *writer) flushAll() {
	for _, f := range w.files {
		w.flush(f)
	}
}

// flushOld writes the lines that have waited long enough.
func (w *writer) flushOld() {
	for _, f := range w.files {
		if w.now.Sub(f.since) >= flushAfter {
			w.flush(f)
		}
	}
}

// completeOver completes the files of windows that no interval from begin on
// has a record for, as long as frames come in time. Those that cannot be written
// stay.
func (w *writer) completeOver(begin int64) {
	for _, f := range w.files {
		if f.slot.window+window <= begin && w.flush(f) {
			w.completeFile(f)
		}
	}
}

// finishAll ends every file.
func (w *writer) finishAll() {
	for _, f := range w.files {
		w.end(f)
	}
}

// end completes the file now. Lines that cannot be written are lost.
func (w *writer) end(f *file) {
	f.retry = w.now
	if !w.flush(f) {
		w.counts.held -= f.records
		w.counts.dropped[f.reason] += f.records
		w.counts.statusLost += f.statuses
		w.missSlot(f.slot)
		f.clear()
		w.recovered(f)
	}
	w.completeFile(f)
}

// completeFile hands a file without waiting lines to the completer.
func (w *writer) completeFile(f *file) {
	delete(w.files, f.slot)
	if w.last == f {
		w.last = nil
	}
	switch {
	case f.disk == nil:
		return
	case f.torn:
		w.repair(f)
	}
	if f.torn {
		w.log.Error("flow-log file could not be completed; the next start finishes it", "path", f.disk.Name())
		w.abandon(f)
		return
	}
	w.counts.open--
	w.queue <- job{file: f.disk, hash: f.end.crc}
}

// failure notes that a file could not be written, and logs it when no other
// fails in the same way.
func (w *writer) failure(f *file, err error) {
	reason := dir.DropReason(err)
	w.counts.errors[reason]++
	if f.failed && f.reason != reason {
		w.recovered(f)
	}
	if !f.failed {
		f.failed, f.reason = true, reason
		w.counts.failing++
		if w.failing[reason]++; w.failing[reason] == 1 {
			w.log.Error("flow logs cannot be written; lines wait, those beyond what fits in memory are dropped, and writing is tried again every second",
				"reason", reason.String(), "err", err)
		}
	}
	f.retry = w.now.Add(retryEvery)
}

// recovered notes that writing the file does not fail any more.
func (w *writer) recovered(f *file) {
	if !f.failed {
		return
	}
	f.failed = false
	w.counts.failing--
	if w.failing[f.reason]--; w.failing[f.reason] == 0 {
		w.log.Info("flow logs are written again", "reason", f.reason.String())
	}
}
