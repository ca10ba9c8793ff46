package journal

import (
	"cmp"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/periscope-collector/periscope/session"
)

// Config configures a Journal.
type Config struct {
	// Size is about the most bytes the file takes: [64 MiB].
	Size int64

	// Log is told of damage and of compactions [nobody].
	Log *slog.Logger

	// Now is the time that statements are given [time.Now].
	Now func() time.Time

	// Sync has what was written to a file on disk when it returns [(*os.File).Sync].
	Sync func(*os.File) error
}

// A Journal is a journal that this process alone writes.
type Journal struct {
	path  string
	limit int64
	log   *slog.Logger
	now   func() time.Time
	sync  func(*os.File) error
	seed  maphash.Seed
	stats atomic.Pointer[Stats]

	mu      sync.Mutex // held while the disk is waited for
	file    *os.File   // nil when closed
	size    int64      // of the whole lines
	full    int64      // the size above which it is compacted
	tenures map[key]statement
	damaged int
	broken  bool // the file may not be as the index says; it is to be written anew
}

// A statement is the last one about a tenure.
type statement struct {
	at     int64 // where its line begins
	until  int64 // ns since 1970 UTC; 0 if the tenure did not end
	sum    uint64
	length int32 // of its line, with the line break
}

// Stats are a journal's figures.
type Stats struct {
	Bytes   int64 // of the file
	Tenures int   // of which there is a statement
	Damaged int   // lines that were passed over when it was opened
}

// Stats returns the journal's figures. It does not wait for the disk.
func (j *Journal) Stats() Stats { return *j.stats.Load() }

// tell publishes the figures. The caller holds mu.
func (j *Journal) tell() {
	j.stats.Store(&Stats{Bytes: j.size, Tenures: len(j.tenures), Damaged: j.damaged})
}

// maxWrite is what Append encodes at most before it writes.
const maxWrite = 1 << 20

// Append adds statements about the tenures of entries, which are learnt ones, and
// returns when they are on disk. What an entry says that was said last of its
// tenure is not written again. Entries that no line can hold are left out, which an
// UnfitError says. After any other error none of the statements counts: they are to
// be made again.
func (j *Journal) Append(entries []session.Entry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	defer j.tell()
	if err := j.ready(); err != nil {
		return fmt.Errorf("session journal %s: %w", j.path, err)
	}
	said, unfit, err := j.write(entries)
	if err == nil && len(said) > 0 {
		if err = j.sync(j.file); err != nil {
			j.broken = true // what is in the kernel's cache says nothing
		}
	}
	if err != nil {
		if j.file.Truncate(j.size) != nil {
			j.broken = true
		}
		return fmt.Errorf("session journal %s: %w", j.path, err)
	}
	for k, s := range said {
		j.tenures[k] = s
		j.size = max(j.size, s.at+int64(s.length))
	}
	if unfit != nil {
		return fmt.Errorf("session journal %s: %w", j.path, unfit)
	}
	return nil
}

// An UnfitError says that no line can hold some entries. The others are on disk.
type UnfitError struct {
	Entries int
	First   error // what is wrong with the first of them
}

func (u *UnfitError) Error() string {
	return fmt.Sprintf("%d entries left out, first %v", u.Entries, u.First)
}
func (u *UnfitError) Unwrap() error { return u.First }

func (u *UnfitError) add(name string, err error) *UnfitError {
	if u == nil {
		u = &UnfitError{First: fmt.Errorf("%q: %w", name, err)}
	}
	u.Entries++
	return u
}

// ready makes sure that lines can be added to the file, and that it has room.
func (j *Journal) ready() error {
	if j.file == nil {
		return fs.ErrClosed
	}
	there, err := os.Lstat(j.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		j.log.Warn("the session journal was removed; it is written anew", "file", j.path)
		return j.compact()
	case err != nil:
		return err
	}
	held, err := j.file.Stat()
	if err != nil {
		return err
	}
	if !os.SameFile(held, there) {
		return errors.New("the file was replaced by another; remove that, or start again")
	}
	if j.broken || j.size > j.full {
		return j.compact()
	}
	return nil
}

// write writes lines behind what counts, and returns the statements in them, and
// which entries are left out.
func (j *Journal) write(entries []session.Entry) (said map[key]statement, left *UnfitError, err error) {
	said = make(map[key]statement)
	at, written := j.size, j.size
	var buffer []byte
	now := j.now().UTC()
	for i := range entries {
		e := entries[i]
		e.Learned = true
		raw, text, err := statementOf(&e, now)
		if err != nil {
			left = left.add(e.Name, err)
			continue
		}
		k, sum := keyOf(&e), maphash.Bytes(j.seed, raw)
		last, ok := said[k]
		if !ok {
			last, ok = j.tenures[k]
		}
		if ok && last.sum == sum {
			continue
		}
		buffer = append(buffer, text...)
		s := statement{at: at, until: e.Until, sum: sum, length: int32(len(text))}
		said[k] = s
		at += int64(s.length)
		if len(buffer) >= maxWrite {
			if _, err := j.file.WriteAt(buffer, written); err != nil {
				return nil, nil, err
			}
			written += int64(len(buffer))
			buffer = buffer[:0]
		}
	}
	_, err = j.file.WriteAt(buffer, written)
	return said, left, err
}

// Entries returns the last statements, in the order in which they were made.
func (j *Journal) Entries() ([]session.Entry, error) { return j.Current(time.Time{}) }

// Current returns the last statements about tenures that had not ended at a time,
// in the order in which they were made.
func (j *Journal) Current(since time.Time) ([]session.Entry, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return nil, fmt.Errorf("session journal %s: %w", j.path, fs.ErrClosed)
	}
	var entries []session.Entry
	for _, s := range j.inOrder() {
		if s.until != 0 && !time.Unix(0, s.until).After(since) {
			continue
		}
		text := make([]byte, s.length)
		_, err := j.file.ReadAt(text, s.at)
		var e session.Entry
		if err == nil {
			e, _, err = parse(text)
		}
		if err != nil {
			return nil, fmt.Errorf("session journal %s: at byte %d: %w", j.path, s.at, err)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// inOrder returns the last statements by where they are.
func (j *Journal) inOrder() []statement {
	list := make([]statement, 0, len(j.tenures))
	for _, s := range j.tenures {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b statement) int { return cmp.Compare(a.at, b.at) })
	return list
}

// Close gives the journal up. Everything is on disk already. It waits for an Append.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return nil
	}
	err := j.file.Close()
	j.file = nil
	return err
}
