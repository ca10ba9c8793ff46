package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// A journal notes what came to its end since the checkpoint, so that it is not
// read again after a process was killed: the spool's id (16 bytes), then records
// of CRC-32C of what follows (4), segment (8), from (4) and to (4). It is with the
// kernel when Commit returns, and never synced: after a loss of power the
// checkpoint counts alone.
//
// There are two files, used in turn. A checkpoint has what is in both; once it is
// durable, the next one begins to write over the other file. What is older behind
// that does no harm: it is gone as well.
type journal struct {
	dir     string
	id      string
	files   [2]*os.File // nil until it is needed
	sizes   [2]int64
	active  int
	covered bool // a checkpoint that is durable has what was there when it was made
}

const (
	journalRecord = 4 + 8 + 4 + 4

	// journalMost bounds a file, at 52,000 records. What does not fit is read
	// again after a kill.
	journalMost = 1 << 20
)

func journalName(i int) string { return fmt.Sprintf("committed.%d", i) }

// add notes a span. What cannot be written is read again after a kill.
func (j *journal) add(sp span) {
	if j.sizes[j.active] > journalMost-journalRecord {
		return
	}
	if j.sizes[j.active] == 0 {
		if j.write([]byte(j.id)) != nil {
			return
		}
	}
	var b [journalRecord]byte
	binary.LittleEndian.PutUint64(b[4:], sp.segment)
	binary.LittleEndian.PutUint32(b[12:], sp.from)
	binary.LittleEndian.PutUint32(b[16:], sp.to)
	binary.LittleEndian.PutUint32(b[:], crc32.Checksum(b[4:], castagnoli))
	j.write(b[:])
}

// write adds bytes to the file that is written.
func (j *journal) write(b []byte) error {
	if j.files[j.active] == nil {
		path := filepath.Join(j.dir, journalName(j.active))
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return err
		}
		j.files[j.active] = f
	}
	_, err := j.files[j.active].WriteAt(b, j.sizes[j.active])
	if err == nil {
		j.sizes[j.active] += int64(len(b))
	}
	return err
}

// turn begins the other file anew, as a checkpoint is made, if an earlier one has
// what is in it.
func (j *journal) turn() {
	if j.covered {
		j.active = 1 - j.active
		j.sizes[j.active] = 0
	}
}

// close gives the files up, and removes them if the checkpoint has all.
func (j *journal) close(remove bool) {
	for i, f := range j.files {
		if f != nil {
			f.Close()
		}
		if remove {
			os.Remove(filepath.Join(j.dir, journalName(i)))
		}
		j.files[i] = nil
	}
}

// A place is a segment of a spool.
type place struct {
	id      string
	segment uint64
}

// readJournals returns what both files of a directory note, in order.
func readJournals(path string) (map[place][]span, error) {
	gone := make(map[place][]span)
	for i := range len(journal{}.files) {
		if err := readJournal(filepath.Join(path, journalName(i)), gone); err != nil {
			return nil, err
		}
	}
	for _, spans := range gone {
		slices.SortFunc(spans, span.compare)
	}
	return gone, nil
}

// readJournal adds what a file notes, up to the first record that is not whole.
func readJournal(path string, gone map[place][]span) error {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, journalMost))
	if err != nil || len(b) < idSize {
		return err
	}
	id := string(b[:idSize])
	for r := range slices.Chunk(b[idSize:], journalRecord) {
		if len(r) < journalRecord || crc32.Checksum(r[4:], castagnoli) != binary.LittleEndian.Uint32(r) {
			break
		}
		sp := span{
			segment: binary.LittleEndian.Uint64(r[4:]),
			from:    binary.LittleEndian.Uint32(r[12:]),
			to:      binary.LittleEndian.Uint32(r[16:]),
		}
		if at := (place{id, sp.segment}); sp.from < sp.to {
			gone[at] = append(gone[at], sp)
		}
	}
	return nil
}

// without returns what is left of pending spans of a segment when what is gone is
// taken out. Both are in order. What is left of a span is counted anew.
func without(f io.ReaderAt, pending, gone []span) ([]span, error) {
	var left []span
	for _, sp := range pending {
		for len(gone) > 0 && gone[0].to <= sp.from {
			gone = gone[1:]
		}
		pieces := cut(sp, gone)
		if len(pieces) == 1 && pieces[0].from == sp.from && pieces[0].to == sp.to {
			left = append(left, sp)
			continue
		}
		for _, piece := range pieces {
			to, events, first, err := scan(f, int64(piece.from), int64(piece.to))
			if err != nil {
				return nil, err
			}
			if events > 0 {
				left = append(left, span{sp.segment, piece.from, uint32(to), events, first, false})
			}
		}
	}
	return left, nil
}

// cut returns the parts of a span that are not gone.
func cut(sp span, gone []span) (pieces []span) {
	from := sp.from
	for _, g := range gone {
		if g.from >= sp.to {
			break
		}
		if g.from > from {
			pieces = append(pieces, span{from: from, to: g.from})
		}
		from = max(from, g.to)
	}
	if from < sp.to {
		pieces = append(pieces, span{from: from, to: sp.to})
	}
	return pieces
}
