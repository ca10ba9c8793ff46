package journal

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/periscope-collector/periscope/session"
)

// Load returns the last statements of a journal, in the order in which they were
// made, and how many damaged lines it passed over. A torn last line is left out. It
// takes some twice the size of the file, and changes nothing, so that a journal may
// be loaded that a collector writes.
func Load(path string) (entries []session.Entry, damaged int, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, 0, fmt.Errorf("session journal: %w", err)
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait
		return nil, 0, fmt.Errorf("session journal: %s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, fmt.Errorf("session journal: %w", err)
	}
	defer f.Close()
	entries, damaged, err = read(f)
	if err != nil {
		return nil, 0, fmt.Errorf("session journal: %s: %w", path, err)
	}
	return entries, damaged, nil
}

func read(r io.Reader) (entries []session.Entry, damaged int, err error) {
	type last struct {
		number int
		entry  session.Entry
	}
	tenures := make(map[key]last)
	lines := 0
	_, err = scan(r, func(number int, _ int64, text []byte, wrong error) error {
		lines = number
		if number == 1 {
			return checkHeader(text)
		}
		if wrong == nil {
			var e session.Entry
			if e, _, wrong = parse(text); wrong == nil {
				tenures[keyOf(&e)] = last{number, e}
			}
		}
		if wrong != nil {
			damaged++
		}
		return nil
	})
	if err == nil && lines == 0 {
		err = checkHeader(nil)
	}
	if err != nil {
		return nil, 0, err
	}
	order := make([]last, 0, len(tenures))
	for _, l := range tenures {
		order = append(order, l)
	}
	slices.SortFunc(order, func(a, b last) int { return cmp.Compare(a.number, b.number) })
	for i := range order {
		entries = append(entries, order[i].entry)
	}
	return entries, damaged, nil
}
