package spool

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Contents is what is in the directory of a spool.
type Contents struct {
	ID       string // as Spool.ID; empty if there is no segment
	Segments int
	Bytes    int64     // of the segments
	Pending  int       // events not committed
	Oldest   time.Time // when the oldest of them was appended, or a little before; zero if there is none
}

// Look returns what is in a directory, which it only reads. A process may have
// it open: what it appended in the last moment is then not there yet. The error says what
// first could not be read; Contents is of the rest. What was written after the
// checkpoint is read through, without one all of it.
func Look(path string) (Contents, error) {
	points, damaged, err := readCheckpoint(path)
	if damaged {
		err = errors.New("checkpoint is damaged; all events count as pending")
	}
	gone, goneErr := readJournals(path)
	err = cmp.Or(err, goneErr)
	var c Contents
	numbers, listErr := listSegments(path)
	err = cmp.Or(err, listErr)
	for _, n := range numbers {
		err = cmp.Or(err, c.look(filepath.Join(path, segmentName(n)), n, points[n], gone))
	}
	if err != nil {
		err = fmt.Errorf("spool %s: %w", path, err)
	}
	return c, err
}

// look adds a segment.
func (c *Contents) look(path string, number uint64, point *checkpoint, gone map[place][]span) error {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if os.IsNotExist(err) { // all of it was committed since
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	found, err := examine(f, number, point, gone)
	if errors.Is(err, errNoHeader) { // it is being made
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	c.ID = found.id
	c.Segments++
	c.Bytes += found.size
	c.Pending += found.events
	for _, sp := range found.pending {
		if since := time.Unix(0, sp.since); c.Oldest.IsZero() || since.Before(c.Oldest) {
			c.Oldest = since
		}
	}
	return nil
}
