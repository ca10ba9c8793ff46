package session

import (
	"strings"
	"unicode"

	"github.com/periscope-collector/periscope/internal/strictyaml"
)

// maxName bounds a name in bytes: it is a metric label, and part of log lines
// and file names.
const maxName = 128

// Parse reads a session file. name, usually that of the file, begins every
// error; errors say line, column and key path, and several are joined, one a
// line. There are either entries, in the order of the file, or an error.
//
// At any time a name is that of one entry, as are VNI and source together: several
// have the same ones where each ends, by until, before the next begins. The default
// name is the session_id, else vni-<n>, with -<source> where there is one. A name
// vni-<n> that a VNI without entry could get too is an error. So is a file
// without the key sessions, since it is likely one that is being written; an
// empty list is none.
func Parse(name string, data []byte) ([]Entry, error) {
	doc, err := strictyaml.Parse(name, data)
	if err != nil {
		return nil, err
	}
	var d document
	if err := doc.Decode(&d); err != nil {
		return nil, err
	}
	c := checker{doc: doc}
	if !doc.Has("sessions") {
		c.errorf("", "no key sessions; write sessions: [] for none")
	}
	entries := make([]Entry, 0, len(d.Sessions))
	places := make([]int, 0, len(d.Sessions)) // of the entries in the file
	for i := range d.Sessions {
		c.at = at(i)
		if c.fields(&d.Sessions[i]) {
			entries, places = append(entries, d.Sessions[i].entry()), append(places, i)
			c.name(&d.Sessions[i], &entries[len(entries)-1])
		}
	}
	c.apart(d.Sessions, entries, places)
	if len(c.errs) > 0 {
		return nil, doc.Join(c.errs)
	}
	return entries, nil
}

// A checker finds what YAML and types alone do not tell.
type checker struct {
	doc  *strictyaml.Document
	at   string // path of the entry being checked
	errs []*strictyaml.Error
}

// errorf reports an error about a key of the entry, or about the entry itself
// if key is empty.
func (c *checker) errorf(key, format string, args ...any) {
	path := c.at
	if key != "" {
		path += "." + key
	}
	c.errs = append(c.errs, c.doc.Errorf(path, format, args...))
}

// fields checks the values of one entry, and reports whether it can be used.
func (c *checker) fields(f *entry) bool {
	before := len(c.errs)
	f.check(c.errorf)
	return len(c.errs) == before
}

// name checks the name of an entry by itself.
func (c *checker) name(f *entry, e *Entry) {
	switch key := f.nameKey(); {
	case len(e.Name) > maxName:
		c.errorf(key, "a name has at most %d bytes, not %d", maxName, len(e.Name))
	case strings.ContainsFunc(e.Name, func(r rune) bool { return !unicode.IsPrint(r) }):
		c.errorf(key, "a name has printable characters only, unlike %q", e.Name)
	case !e.isOwn(e.Name) && Reserved(e.Name) && strings.Count(e.Name, "-") == 1:
		c.errorf(key, "%q is what an unknown VNI is named; choose another name", e.Name)
	}
}

// nameKey returns the key that the name comes from; "" if there is none.
func (f *entry) nameKey() string {
	switch {
	case f.Name != "":
		return "name"
	case f.SessionID != "":
		return "session_id"
	}
	return ""
}

// isOwn reports whether a name is the one that frames of the entry would have
// without it.
func (e *Entry) isOwn(name string) bool { return e.Source.IsZero() && name == unknownName(e.VNI) }

// Reserved reports whether a name is kept for unknown sessions, so that AWS cannot
// give it: vni-<n>, also with a hyphen and more behind it.
func Reserved(name string) bool {
	rest, ok := strings.CutPrefix(name, "vni-")
	digits, _, _ := strings.Cut(rest, "-")
	return ok && digits != "" && strings.Trim(digits, "0123456789") == ""
}
