package spool

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
)

const suffix = ".spool"

var (
	errNoHeader  = errors.New("file is shorter than a segment's header")
	errNoSegment = errors.New("file is not a segment")
)

func segmentName(number uint64) string { return fmt.Sprintf("%016d%s", number, suffix) }

// listSegments returns the numbers of the segments in a directory, in order.
func listSegments(path string) ([]uint64, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var numbers []uint64
	for _, entry := range entries {
		digits, ok := strings.CutSuffix(entry.Name(), suffix)
		n, err := strconv.ParseUint(digits, 10, 64)
		if ok && err == nil && n < math.MaxInt64 && entry.Type().IsRegular() && entry.Name() == segmentName(n) {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// findings is what is in the file of a segment.
type findings struct {
	id       string
	size, to int64  // of the file, and where its records end
	pending  []span // by position
	events   int    // in them
}

// examine finds what is pending in the file of a segment: what the checkpoint
// says, and all that was written after it, but what the journals say is gone.
func examine(f *os.File, number uint64, point *checkpoint, gone map[place][]span) (findings, error) {
	fi, err := f.Stat()
	if err != nil {
		return findings{}, err
	}
	size := fi.Size()
	if size < headerSize {
		return findings{}, errNoHeader
	}
	head := make([]byte, headerSize)
	if _, err := f.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return findings{}, err
	}
	id, ok := parseHeader(head, number)
	if !ok || size > math.MaxUint32 {
		return findings{}, errNoSegment
	}
	if point == nil || point.size < headerSize || point.size > size {
		point = &checkpoint{size: headerSize}
	}
	to, events, first, err := scan(f, point.size, size)
	if err != nil {
		return findings{}, err
	}
	pending := point.pending
	slices.SortFunc(pending, span.compare)
	if events > 0 {
		pending = append(pending, span{number, uint32(point.size), uint32(to), events, first, false})
	}
	if pending, err = without(f, pending, gone[place{id, number}]); err != nil {
		return findings{}, err
	}
	found := findings{id: id, size: size, to: to, pending: pending}
	for _, sp := range pending {
		found.events += sp.events
	}
	return found, nil
}
