package session

import (
	"fmt"
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
// Names are unique, as are VNI and source together. The default name is the
// session_id, else vni-<n>, with -<source> where there is one. A name
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
	c := checker{
		doc:        doc,
		names:      make(map[string]int, len(d.Sessions)),
		identities: make(map[identity]int, len(d.Sessions)),
	}
	if !doc.Has("sessions") {
		c.errorf("", "no key sessions; write sessions: [] for none")
	}
	entries := make([]Entry, 0, len(d.Sessions))
	for i := range d.Sessions {
		c.at = fmt.Sprintf("sessions[%d]", i)
		if !c.fields(&d.Sessions[i]) {
			continue
		}
		entries = append(entries, d.Sessions[i].entry())
		c.unique(i, &entries[len(entries)-1], d.Sessions[i].Name != "")
	}
	if len(c.errs) > 0 {
		return nil, doc.Join(c.errs)
	}
	return entries, nil
}

// A checker finds what YAML and types alone do not tell.
type checker struct {
	doc        *strictyaml.Document
	at         string           // path of the entry being checked
	names      map[string]int   // by name, the entry that has it
	identities map[identity]int // by identity, the entry that has it
	errs       []*strictyaml.Error
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

// unique checks the name and the identity of entry i.
func (c *checker) unique(i int, e *Entry, named bool) {
	if first, taken := c.identities[e.identity()]; taken {
		c.errorf("vni", "%s has the same vni and source; remove one of the two", c.where(first))
		return
	}
	c.identities[e.identity()] = i

	key := "" // what the name comes from
	switch {
	case named:
		key = "name"
	case e.Workload.SessionID != "":
		key = "session_id"
	}
	switch first, taken := c.names[e.Name]; {
	case len(e.Name) > maxName:
		c.errorf(key, "a name has at most %d bytes, not %d", maxName, len(e.Name))
	case strings.ContainsFunc(e.Name, func(r rune) bool { return !unicode.IsPrint(r) }):
		c.errorf(key, "a name has printable characters only, unlike %q", e.Name)
	case !e.isOwn(e.Name) && reserved(e.Name):
		c.errorf(key, "%q is what an unknown VNI is named; choose another name", e.Name)
	case taken:
		c.errorf(key, "%q is the name of %s too; give each session its own name", e.Name, c.where(first))
	default:
		c.names[e.Name] = i
	}
}

// where names an entry and its line.
func (c *checker) where(i int) string {
	path := fmt.Sprintf("sessions[%d]", i)
	return fmt.Sprintf("%s in line %d", path, c.doc.Errorf(path, "").Line)
}

// isOwn reports whether a name is the one that frames of the entry would have
// without it.
func (e *Entry) isOwn(name string) bool { return e.Source.IsZero() && name == unknownName(e.VNI) }

// reserved reports whether a name is vni- and digits.
func reserved(name string) bool {
	digits, ok := strings.CutPrefix(name, "vni-")
	return ok && digits != "" && strings.Trim(digits, "0123456789") == ""
}
