package session

import (
	"cmp"
	"fmt"
	"slices"
)

// apart checks that entries at the same time have different names and identities.
// places are those of the entries in the file.
func (c *checker) apart(files []entry, entries []Entry, places []int) {
	twice := clashes(entries, func(e *Entry) Identity { return e.Identity() })
	named := clashes(entries, func(e *Entry) string { return e.Name })
	for i := range entries {
		c.at = at(places[i])
		if first, ok := twice[i]; ok {
			c.errorf("vni", "%s has the same vni and source%s",
				c.where(places[first]), remedy(&entries[i], &entries[first], "remove one of the two"))
		} else if first, ok := named[i]; ok {
			c.errorf(files[places[i]].nameKey(), "%q is the name of %s too%s",
				entries[i].Name, c.where(places[first]), remedy(&entries[i], &entries[first], "give each session its own name"))
		}
	}
}

// remedy says what to do about two entries that are at the same time.
func remedy(a, b *Entry, otherwise string) string {
	if a.From|a.Until|b.From|b.Until != 0 {
		return " at the same time; let one end (until) when the other begins (from), or " + otherwise
	}
	return "; " + otherwise
}

// clashes returns the entries with the same key as an earlier one that is at the
// same time, and that one.
func clashes[K comparable](entries []Entry, key func(*Entry) K) map[int]int {
	groups := make(map[K][]int, len(entries))
	for i := range entries {
		k := key(&entries[i])
		groups[k] = append(groups[k], i)
	}
	found := make(map[int]int)
	for _, g := range groups {
		slices.SortStableFunc(g, func(a, b int) int { return cmp.Compare(entries[a].From, entries[b].From) })
		last := g[0] // to end of those before
		for _, i := range g[1:] {
			if entries[i].From < entries[last].end() {
				found[max(i, last)] = min(i, last)
			}
			if entries[i].end() > entries[last].end() {
				last = i
			}
		}
	}
	return found
}

// at is the path of an entry.
func at(i int) string { return fmt.Sprintf("sessions[%d]", i) }

// where names an entry and its line.
func (c *checker) where(i int) string {
	return fmt.Sprintf("%s in line %d", at(i), c.doc.Errorf(at(i), "").Line)
}
