package record

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// defaults is the number of fields of AWS's default format: those of version 2.
const defaults = 14

// ParseFields reads a format in AWS's syntax: ${name}, with one space between,
// no name twice. "" is AWS's default format, the fields of version 2. Errors
// name the position, in bytes from 1, and for a name that is unknown the nearest
// one.
func ParseFields(format string) (*Fields, error) {
	f := &Fields{version: 2}
	if format == "" {
		for i := range flowFields[:defaults] {
			f.columns = append(f.columns, &flowFields[i])
		}
		return f, nil
	}
	for at := 0; at < len(format); {
		if at > 0 {
			if format[at] != ' ' {
				return nil, fmt.Errorf("position %d: one space must stand between fields, not %s", at+1, rest(format[at:]))
			}
			at++
		}
		name, found := strings.CutPrefix(format[at:], "${")
		end := strings.IndexByte(name, '}')
		if !found || end < 0 {
			return nil, fmt.Errorf("position %d: a field such as ${srcaddr} must stand here, not %s", at+1, rest(format[at:]))
		}
		name = name[:end]
		if err := f.add(name); err != nil {
			return nil, fmt.Errorf("position %d: %w", at+1, err)
		}
		at += len("${}") + len(name)
	}
	return f, nil
}

// add appends the field of that name.
func (f *Fields) add(name string) error {
	i := slices.IndexFunc(flowFields, func(c Field) bool { return c.Name == name })
	switch {
	case slices.Contains(transitGateway, name):
		return fmt.Errorf("${%s} is a field of Transit Gateway flow logs; remove it", name)
	case i < 0:
		return fmt.Errorf("there is no field %s; the nearest is ${%s}", quote(name), nearest(name))
	case slices.Contains(f.columns, &flowFields[i]):
		return fmt.Errorf("${%s} is there already; remove one of the two", name)
	}
	f.columns = append(f.columns, &flowFields[i])
	f.version = max(f.version, flowFields[i].Version)
	return nil
}

// rest says what a format goes on with.
func rest(s string) string {
	if s == "" {
		return "the end"
	}
	return quote(s)
}

// quote returns the beginning of s in quotes, on one line.
func quote(s string) string {
	const most = 32
	if len(s) > most {
		return strconv.Quote(s[:most]) + "..."
	}
	return strconv.Quote(s)
}

// nearest returns the name of a field that takes the fewest changes to get to
// from what was written, the first of several.
func nearest(written string) string {
	const most = 64 // bytes; more than twice the longest name
	written = strings.ToLower(strings.ReplaceAll(written[:min(len(written), most)], "_", "-"))
	best, least := "", most+1
	for i := range flowFields {
		if d := distance(written, flowFields[i].Name); d < least {
			best, least = flowFields[i].Name, d
		}
	}
	return best
}

// distance returns the number of bytes to insert, delete or replace to get from
// a to b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1) // of the table: from a[:i] to each b[:j]
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
