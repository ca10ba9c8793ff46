package strictyaml

import (
	"encoding"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// A reader walks the nodes of a document and a Go value side by side.
type reader struct {
	name    string
	path    []string // of the value being read, each step as it is printed
	fields  map[reflect.Type]map[string][]int
	inAlias int  // how many aliases lead to the value being read
	aliased int  // aliases, keys and items read through aliases
	spent   bool // too many: nothing more is read
	errs    []*Error
	more    int // errors not kept
}

func (r *reader) err() error { return join(r.name, r.errs, r.more) }

func (r *reader) errorf(n *yaml.Node, format string, args ...any) {
	if len(r.errs) == maxErrors {
		r.more++
		return
	}
	r.errs = append(r.errs, &Error{
		Name: r.name, Line: n.Line, Column: n.Column,
		Path:    strings.TrimPrefix(strings.Join(r.path, ""), "."),
		Message: fmt.Sprintf(format, args...),
	})
}

// value reads n into v.
func (r *reader) value(n *yaml.Node, v reflect.Value) {
	if n.Kind == yaml.AliasNode {
		r.inAlias++
		defer func() { r.inAlias-- }()
		n = n.Alias
		if !r.spend(n) {
			return
		}
	}
	for v.Kind() == reflect.Pointer && !isNull(n) {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		v = v.Elem()
	}
	t, ok := v.Addr().Interface().(encoding.TextUnmarshaler)
	if ok && !(n.Kind == yaml.MappingNode && v.Kind() == reflect.Struct && len(r.fieldsOf(v.Type())) > 0) {
		r.text(n, v, t)
		return
	}
	switch {
	case isNull(n):
		r.null(n, v)
	case v.Kind() == reflect.Struct:
		r.structure(n, v)
	case v.Kind() == reflect.Slice:
		r.list(n, v)
	case v.Kind() == reflect.Map:
		r.mapping(n, v)
	default:
		r.scalar(n, v)
	}
}

// spend counts n if an alias leads to it, and reports whether it may be read.
func (r *reader) spend(n *yaml.Node) bool {
	if r.inAlias == 0 || r.spent {
		return !r.spent
	}
	r.aliased++
	if r.spent = r.aliased > maxAliased || len(r.path) > maxDepth; r.spent {
		r.errorf(n, "aliases repeat too many values; write them out")
	}
	return !r.spent
}

// null leaves a struct alone, so that all its keys may be commented out.
func (r *reader) null(n *yaml.Node, v reflect.Value) {
	t := v.Type()
	switch {
	case t.Kind() == reflect.Struct:
	case t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct:
		r.errorf(n, "has no value; write {} for the defaults, or remove the key")
	case t.Kind() == reflect.Slice:
		r.errorf(n, "has no value; write [] for an empty list, or remove the key")
	default:
		r.errorf(n, "has no value; give one or remove the key")
	}
}

// keys calls f for each key of a mapping that is text and not a duplicate, with
// the key in the path.
func (r *reader) keys(n *yaml.Node, f func(key string, k, v *yaml.Node)) {
	if n.Kind != yaml.MappingNode || n.Tag != "!!map" {
		r.errorf(n, "must be a mapping such as {key: value}, not %s", describe(n))
		return
	}
	lines := make(map[string]int, len(n.Content)/2)
	for i := 0; i < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		switch {
		case !r.spend(k):
			return
		case k.Tag == "!!merge":
			r.errorf(k, "merge keys are not supported; write the keys out")
		case k.Kind != yaml.ScalarNode:
			r.errorf(k, "a key must be text, not %s", describe(k))
		default:
			r.path = append(r.path, step(k.Value))
			if line, ok := lines[k.Value]; ok {
				r.errorf(k, "already given in line %d; remove one of the two", line)
			} else {
				lines[k.Value] = k.Line
				f(k.Value, k, v)
			}
			r.path = r.path[:len(r.path)-1]
		}
	}
}

func (r *reader) structure(n *yaml.Node, v reflect.Value) {
	fields := r.fieldsOf(v.Type())
	r.keys(n, func(key string, k, val *yaml.Node) {
		i, ok := fields[key]
		if !ok {
			known := slices.Sorted(maps.Keys(fields))
			r.errorf(k, "unknown key; known here: %s", strings.Join(known, ", "))
			return
		}
		r.value(val, v.FieldByIndex(i))
	})
}

// fieldsOf returns the index of the field that each key is read into.
func (r *reader) fieldsOf(t reflect.Type) map[string][]int {
	if fields, ok := r.fields[t]; ok {
		return fields
	}
	fields := make(map[string][]int)
	for i := range t.NumField() {
		switch name, option, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ","); {
		case option == "inline":
			for name, index := range r.fieldsOf(t.Field(i).Type) {
				fields[name] = append([]int{i}, index...)
			}
		case name != "" && name != "-":
			fields[name] = []int{i}
		}
	}
	r.fields[t] = fields
	return fields
}

func (r *reader) list(n *yaml.Node, v reflect.Value) {
	if n.Kind != yaml.SequenceNode || n.Tag != "!!seq" {
		r.errorf(n, "must be a list such as [a, b], not %s", describe(n))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		if !r.spend(item) {
			return
		}
		r.path = append(r.path, "["+strconv.Itoa(i)+"]")
		r.value(item, v.Index(i))
		r.path = r.path[:len(r.path)-1]
	}
}

func (r *reader) mapping(n *yaml.Node, v reflect.Value) {
	m := make(map[string]string)
	r.keys(n, func(key string, _, val *yaml.Node) {
		var s string
		r.value(val, reflect.ValueOf(&s).Elem())
		m[key] = s
	})
	v.Set(reflect.ValueOf(m).Convert(v.Type()))
}
