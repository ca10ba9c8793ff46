package filter

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/periscope-collector/periscope/internal/strictyaml"
)

const (
	// MaxFile is the size of the largest file Load reads, in bytes: some 20,000
	// rules as the AWS CLI prints them. Reading one takes 40 times as much.
	MaxFile = 8 << 20

	// MaxSessions is how many sessions are simulated at most. AWS allows 3 of an
	// interface (Amazon VPC Traffic Mirroring, "Quotas").
	MaxSessions = 16

	// maxName bounds the name of a filter in bytes.
	maxName = 128
)

// A File is a filter file: filters and, for a simulation, the sessions that
// would have them.
type File struct {
	Filters  []Filter  // in the order of the file; every one of them compiles
	Sessions []Session // as listed, lowest number first
}

// A Session is a mirror session in a simulation: its number and its filter.
type Session struct {
	Number int // 1 to 32766; the lowest has the first look at a packet
	Filter *Filter
}

// Filter returns the filter of a name, or nil.
func (f *File) Filter(name string) *Filter {
	for i := range f.Filters {
		if f.Filters[i].Name == name {
			return &f.Filters[i]
		}
	}
	return nil
}

// Simulated returns the sessions of a simulation: those listed, or else one for
// each filter, numbered from 1 in the order of the file.
func (f *File) Simulated() ([]Session, error) {
	list := f.Sessions
	if len(list) == 0 {
		for i := range f.Filters {
			list = append(list, Session{i + 1, &f.Filters[i]})
		}
	}
	switch {
	case len(list) == 0:
		return nil, fmt.Errorf("no filter to simulate; write one below filters")
	case len(list) > MaxSessions:
		return nil, fmt.Errorf("%d sessions to simulate, and %d are the most; list under sessions which filters one interface would have", len(list), MaxSessions)
	}
	return list, nil
}

// Load reads a filter file of at most MaxFile bytes. See Parse.
func Load(path string) (*File, error) {
	data, _, err := strictyaml.ReadFile("filter file", path, MaxFile)
	if err != nil {
		return nil, err
	}
	if len(data) > MaxFile {
		return nil, fmt.Errorf("filter file: %s is larger than %d MiB; keep only the filters that are used", path, MaxFile>>20)
	}
	return Parse(path, data)
}

// Parse reads a filter file, or what aws ec2 describe-traffic-mirror-filters
// prints, as JSON or as YAML: it is told by the key TrafficMirrorFilters, and
// its filters are named by their id. name, usually that of the file, begins
// every error; errors say line, column and key path, and several are joined, one
// a line. There is either a file or an error.
func Parse(name string, data []byte) (*File, error) {
	doc, err := strictyaml.Parse(name, data)
	if err != nil {
		return nil, err
	}
	c := checker{doc: doc}
	var file *File
	if doc.Has("TrafficMirrorFilters") {
		file, err = c.aws()
	} else {
		file, err = c.own()
	}
	if err != nil {
		return nil, err
	}
	if len(c.errs) > 0 {
		return nil, doc.Join(c.errs)
	}
	return file, nil
}

// document is the filter file as it is written.
type document struct {
	Filters  []ownFilter  `yaml:"filters"`
	Sessions []ownSession `yaml:"sessions"`
}

type ownFilter struct {
	Name            string    `yaml:"name"`
	Description     string    `yaml:"description"`
	NetworkServices []string  `yaml:"network_services"`
	Rules           []ownRule `yaml:"rules"`
}

type ownSession struct {
	Number int    `yaml:"number"`
	Filter string `yaml:"filter"`
}

// A checker finds what YAML and types alone do not tell.
type checker struct {
	doc  *strictyaml.Document
	errs []*strictyaml.Error
}

func (c *checker) errorf(path, format string, args ...any) {
	c.errs = append(c.errs, c.doc.Errorf(path, format, args...))
}

// own reads a filter file.
func (c *checker) own() (*File, error) {
	var d document
	if err := c.doc.Decode(&d); err != nil {
		return nil, err
	}
	if !c.doc.Has("filters") {
		c.errorf("", "no key filters; write filters: [] for none")
	}
	file := &File{Filters: make([]Filter, len(d.Filters))}
	names := make(map[string]*Filter, len(d.Filters))
	for i := range d.Filters {
		at := fmt.Sprintf("filters[%d]", i)
		from, f := &d.Filters[i], &file.Filters[i]
		*f = Filter{Name: from.Name, Description: from.Description}
		f.AmazonDNS = c.services(at+".network_services", from.NetworkServices)
		for j := range from.Rules {
			c.ports(fmt.Sprintf("%s.rules[%d]", at, j), &from.Rules[j])
			f.Rules = append(f.Rules, from.Rules[j].rule())
		}
		c.name(at+".name", f, names)
		for j, fault := range f.faults() {
			c.errorf(fmt.Sprintf("%s.rules[%d].%s", at, j, fault.field), "%s", fault.message)
		}
	}
	c.sessions(d.Sessions, names, file)
	return file, nil
}

// name checks a filter's name, and adds it to names.
func (c *checker) name(path string, f *Filter, names map[string]*Filter) {
	switch _, taken := names[f.Name]; {
	case f.Name == "":
		c.errorf(path, "is missing; it is what configuration and reports call the filter")
	case len(f.Name) > maxName:
		c.errorf(path, "a name has at most %d bytes, not %d", maxName, len(f.Name))
	case strings.ContainsFunc(f.Name, func(r rune) bool { return !unicode.IsPrint(r) }):
		c.errorf(path, "a name has printable characters only, unlike %q", f.Name)
	case taken:
		c.errorf(path, "%q is the name of another filter above; give each its own", f.Name)
	default:
		names[f.Name] = f
	}
}

// services reports whether Amazon DNS is among the network services.
func (c *checker) services(path string, list []string) (dns bool) {
	for i, s := range list {
		if s != "amazon-dns" {
			c.errorf(fmt.Sprintf("%s[%d]", path, i), "unknown network service %.60q; amazon-dns is the only one", s)
		}
		dns = true
	}
	return dns
}

// sessions checks the sessions of a simulation, and sorts them by number.
func (c *checker) sessions(list []ownSession, names map[string]*Filter, file *File) {
	numbers := make(map[int]int, len(list))
	for i, s := range list {
		at := fmt.Sprintf("sessions[%d]", i)
		first, taken := numbers[s.Number]
		switch {
		case s.Number < 1 || s.Number > 32766: // EC2 API, CreateTrafficMirrorSession
			c.errorf(at+".number", "must be 1 to 32766, not %d", s.Number)
		case taken:
			c.errorf(at+".number", "%d is the number of sessions[%d] too; give each its own", s.Number, first)
		case names[s.Filter] == nil:
			c.errorf(at+".filter", "no filter is named %.60q; name one of those below filters", s.Filter)
		}
		numbers[s.Number] = i
		file.Sessions = append(file.Sessions, Session{s.Number, names[s.Filter]})
	}
	slices.SortFunc(file.Sessions, func(a, b Session) int { return cmp.Compare(a.Number, b.Number) })
}
