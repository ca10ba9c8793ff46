package session

import (
	"encoding/hex"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// tidy returns the last entry of each tenure, in the order of those. What AWS
// says need not be fit to be a name, and an empty list is none.
func tidy(entries []Entry) []Entry {
	last := make(map[Tenure]int, len(entries))
	for i := range entries {
		e := entries[i]
		e.Learned = true
		last[e.Tenure()] = i
	}
	kept := make([]Entry, 0, len(last))
	for i := range entries {
		e := entries[i]
		e.Learned = true
		if last[e.Tenure()] != i {
			continue
		}
		e.Name = learntName(&e)
		w := &e.Workload
		none(&e.Addresses)
		none(&w.VPCCIDRs)
		none(&w.SubnetCIDRs)
		none(&w.ContainerIDs)
		if len(w.Labels) == 0 {
			w.Labels = nil
		}
		kept = append(kept, e)
	}
	return kept
}

func none[T any](list *[]T) {
	if len(*list) == 0 {
		*list = nil
	}
}

// learntName returns the entry's name as one of the session file could be: with
// _ for what is not printable and before what is reserved, and cut.
func learntName(e *Entry) string {
	name := e.Name
	if name == "" {
		name = defaultName(e)
	}
	if !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		name = strings.Map(func(r rune) rune {
			if unicode.IsPrint(r) && r != utf8.RuneError {
				return r
			}
			return '_'
		}, name)
	}
	if Reserved(name) {
		name = "_" + name
	}
	return cut(name, maxName)
}

// NameApart returns a name of an interface that tells it from others of the same
// name, with the last 8 characters of its id. It is cut to what a name may have.
func NameApart(name, interfaceID string) string {
	suffix := "-" + interfaceID[max(0, len(interfaceID)-8):]
	return cut(name, maxName-len(suffix)) + suffix
}

// nameApart returns the name of a learnt entry whose own name is taken; of one that
// is announced it is none that is taken.
func (e *Entry) nameApart(taken map[string]bool) string {
	apart := func(id string) string {
		other := *e
		other.Name = NameApart(e.Name, id)
		return learntName(&other)
	}
	if !e.Announced {
		return apart(e.Workload.InterfaceID)
	}
	name := apart(hex.EncodeToString(e.MAC[:]))
	for n := 0; taken[name]; n++ {
		name = apart(strconv.Itoa(n))
	}
	return name
}

// cut returns the runes of a name that fit into n bytes.
func cut(name string, n int) string {
	for len(name) > n {
		_, last := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-last]
	}
	return name
}
