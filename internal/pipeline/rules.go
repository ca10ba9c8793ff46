package pipeline

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/periscope-collector/periscope/filter"
	"github.com/periscope-collector/periscope/internal/config"
)

// loadRules reads the filter file, and returns what the configuration says of
// filters and of what to keep. The name of a filter that is not in the file is a
// KeyError.
func loadRules(cfg *config.Config) (Rules, error) {
	names := cfg.FilterNames()
	programs, err := loadPrograms(cfg.Filter.File, names)
	if err != nil {
		return Rules{}, err
	}
	r := Rules{Sinks: make(map[string]*filter.Program), Learns: cfg.AWS != nil}
	for i := range cfg.Filter.Sessions {
		s := &cfg.Filter.Sessions[i]
		r.Sessions = append(r.Sessions, SessionRule{matchOf(&s.Match), programs[s.Filter]})
	}
	for _, sink := range []string{"pcap", "flowlog", "splunk"} {
		if name, ok := names["sinks."+sink+".filter"]; ok {
			r.Sinks[sink] = programs[name]
		}
	}
	r.Keep, err = policyOf(cfg.Keep)
	return r, err
}

// loadPrograms returns the filters that keys name, by name. The file is read also
// if there are none, since it may be wrong.
func loadPrograms(path string, names map[string]string) (map[string]*filter.Program, error) {
	if path == "" {
		return nil, nil // config has validated that nothing names a filter
	}
	file, err := filter.Load(path)
	if err != nil {
		return nil, &FileError{err}
	}
	programs := make(map[string]*filter.Program)
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(names)) {
		name := names[key]
		f := file.Filter(name)
		if f == nil {
			errs = append(errs, &KeyError{key, fmt.Errorf("%q is not in %s, %s", name, path, filtersOf(file))})
			continue
		}
		if programs[name] == nil {
			if programs[name], err = f.Compile(); err != nil {
				return nil, &FileError{err} // Load has validated it
			}
		}
	}
	return programs, errors.Join(errs...)
}

// filtersOf says what filters there are, as far as one cares to read.
func filtersOf(file *filter.File) string {
	const most = 10
	var names []string
	for i := range file.Filters {
		if i == most {
			names = append(names, "...")
			break
		}
		names = append(names, file.Filters[i].Name)
	}
	if len(names) == 0 {
		return "which holds no filter"
	}
	return "which holds " + strings.Join(names, ", ")
}

// policyOf returns the policy of rules, nil if there are none.
func policyOf(keep []config.Keep) (*filter.Policy, error) {
	if len(keep) == 0 {
		return nil, nil
	}
	rules := make([]filter.KeepRule, len(keep))
	for i := range keep {
		k := &keep[i]
		prefix, prefixErr := k.Prefix()
		from, to, portErr := k.Ports()
		if err := errors.Join(prefixErr, portErr); err != nil {
			return nil, err // config has validated both
		}
		rules[i] = filter.KeepRule{
			Match:  matchOf(&k.Match),
			Prefix: prefix,
			Ports:  filter.Ports{From: from, To: to},
			Keep:   keeps[k.Keep],
		}
	}
	return filter.NewPolicy(rules)
}

var keeps = map[string]filter.Keep{"full": filter.Full, "headers": filter.Headers, "none": filter.None}

func matchOf(m *config.Match) filter.Match {
	match := filter.Match{Session: string(m.Session), Service: string(m.Service), Cluster: string(m.Cluster), VNI: filter.AnyVNI}
	match.LabelKey, match.LabelValue = m.Labelled()
	if m.VNI != nil {
		match.VNI = int64(*m.VNI)
	}
	return match
}
