package awsfake

import (
	"encoding/base64"
	"maps"
	"slices"
	"strings"
)

// A listing is what all Describes of EC2 take.
type listing struct {
	Filter     []filter
	MaxResults *int
	NextToken  string
}

// A filter keeps what has one of the values, in which * and ? stand for any
// characters and any one.
type filter struct {
	Name  string   `query:",required"`
	Value []string `query:",required"`
}

// A noun is one kind of thing that EC2 describes.
type noun[T any] struct {
	name      string                      // as messages have it
	missing   string                      // the code where an id names none
	fields    map[string]func(T) []string // what filters may name, each with its values
	tags      func(T) []Tag               // of tag:KEY and tag-key; nil: filters do not name tags
	exclusive bool                        // ids and MaxResults are not asked for together
}

func (n *noun[T]) absent(ids ...string) *Error {
	if len(ids) == 1 {
		return refuse(n.missing, "The %s ID '%s' does not exist", n.name, ids[0])
	}
	return refuse(n.missing, "The %s IDs '%s' do not exist", n.name, strings.Join(ids, ", "))
}

// list returns the page that l asks for of those with one of the ids, or of all,
// in the order of ids; and the token of the next page, or "".
func list[T any](c *call, n *noun[T], all map[string]T, ids []string, l listing) (page Set[T], token string, err error) {
	size, after, err := l.page(n.exclusive && len(ids) > 0)
	if err != nil {
		return nil, "", err
	}
	for _, f := range l.Filter {
		if !n.known(f.Name) {
			return nil, "", refuse("InvalidParameterValue", "The filter '%s' is invalid", f.Name)
		}
	}
	if ids, err = present(c, n, all, ids); err != nil {
		return nil, "", err
	}
	last := ""
	for _, id := range ids {
		if id <= after || !n.meets(all[id], l.Filter) {
			continue
		}
		if len(page) == size {
			return page, base64.StdEncoding.EncodeToString([]byte(last)), nil
		}
		page, last = append(page, all[id]), id
	}
	return page, "", nil
}

// page returns the page's size and the id before it.
func (l *listing) page(exclusive bool) (size int, after string, err error) {
	size = 1000
	if l.MaxResults != nil {
		if exclusive {
			return 0, "", refuse("InvalidParameterCombination", "The parameter MaxResults cannot be used with ids in the same request")
		}
		if size = *l.MaxResults; size < 5 || size > 1000 {
			return 0, "", refuse("InvalidParameterValue", "Value ( %d ) for parameter maxResults is invalid. Expecting a value between 5 and 1000.", size)
		}
	}
	last, err := base64.StdEncoding.DecodeString(l.NextToken)
	if err != nil {
		return 0, "", refuse("InvalidNextToken", "The specified NextToken is not valid.")
	}
	return size, string(last), nil
}

// present returns the ids, or those of all where none are given, in order and
// without those still hidden. An id that names nothing is an error.
func present[T any](c *call, n *noun[T], all map[string]T, ids []string) ([]string, error) {
	if len(ids) == 0 {
		ids = slices.Sorted(maps.Keys(all))
		return slices.DeleteFunc(ids, func(id string) bool { return !c.visible(id) }), nil
	}
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	var missing []string
	for _, id := range ids {
		if _, ok := all[id]; !ok || !c.visible(id) {
			missing = append(missing, id)
		}
	}
	if missing != nil {
		return nil, n.absent(missing...)
	}
	return ids, nil
}

func (n *noun[T]) known(name string) bool {
	tag := name == "tag-key" || strings.HasPrefix(name, "tag:")
	return n.fields[name] != nil || tag && n.tags != nil
}

// meets reports whether each filter has a value that v has.
func (n *noun[T]) meets(v T, filters []filter) bool {
	for _, f := range filters {
		has := n.values(v, f.Name)
		if !slices.ContainsFunc(f.Value, func(pattern string) bool {
			return slices.ContainsFunc(has, func(s string) bool { return match(pattern, s) })
		}) {
			return false
		}
	}
	return true
}

func (n *noun[T]) values(v T, name string) (values []string) {
	if field := n.fields[name]; field != nil {
		return field(v)
	}
	key, byKey := strings.CutPrefix(name, "tag:")
	for _, t := range n.tags(v) {
		if !byKey {
			values = append(values, t.Key)
		} else if t.Key == key {
			values = append(values, t.Value)
		}
	}
	return values
}

// match reports whether the pattern, with * and ?, is s. It goes back to the
// last * only, which is enough.
func match(pattern, s string) bool {
	star, from := -1, 0
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			from++
			p, i = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
