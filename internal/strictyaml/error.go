package strictyaml

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v4"
)

// An Error is one thing wrong at one place of a document.
type Error struct {
	Name         string // of the document
	Line, Column int    // from 1, columns in characters
	Path         string // of the key, as in sessions[3].name; empty for the whole document
	Message      string // what is wrong, and what to do
}

// Error returns "name:line:column: path: message".
func (e *Error) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("%s:%d:%d: %s", e.Name, e.Line, e.Column, e.Message)
	}
	return fmt.Sprintf("%s:%d:%d: %s: %s", e.Name, e.Line, e.Column, e.Path, e.Message)
}

// join sorts errors by position and joins them; more says how many were left
// out. It returns nil if there are none.
func join(name string, errs []*Error, more int) error {
	slices.SortStableFunc(errs, func(a, b *Error) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	joined := make([]error, 0, len(errs)+1)
	for _, e := range errs {
		joined = append(joined, e)
	}
	if more > 0 {
		joined = append(joined, fmt.Errorf("%s: and %d more; correct these first", name, more))
	}
	return errors.Join(joined...)
}

// Errorf returns an error about the value at a key path such as
// sessions[3].name, with its line and column. If the path is not in the
// document, the position is that of its nearest ancestor. It is how callers
// report what only they can know.
func (d *Document) Errorf(path, format string, args ...any) *Error {
	e := &Error{Name: d.name, Line: 1, Column: 1, Path: path, Message: fmt.Sprintf(format, args...)}
	n, _ := d.find(path)
	if n != nil {
		e.Line, e.Column = n.Line, n.Column
	}
	return e
}

// Has reports whether the document holds a value, be it null, at a key path.
func (d *Document) Has(path string) bool {
	_, ok := d.find(path)
	return ok
}

// Join returns errors as Decode does: sorted by position, the first ten. It
// returns nil if there are none.
func (d *Document) Join(errs []*Error) error {
	shown := min(len(errs), maxErrors)
	return join(d.name, errs[:shown:shown], len(errs)-shown)
}

// find follows a key path as far as it goes.
func (d *Document) find(path string) (n *yaml.Node, ok bool) {
	n = d.root
	for n != nil && path != "" {
		var step, next string
		switch {
		case path[0] == '[':
			step, next, _ = strings.Cut(path[1:], "]")
		case path[0] == '"':
			if step, _ = strconv.QuotedPrefix(path); step == "" {
				return n, false
			}
			next = path[len(step):]
			step, _ = strconv.Unquote(step)
		default:
			end := strings.IndexAny(path, ".[")
			if end < 0 {
				end = len(path)
			}
			step, next = path[:end], path[end:]
		}
		child := child(n, step, path[0] == '[')
		if child == nil {
			return n, false
		}
		n, path = child, strings.TrimPrefix(next, ".")
	}
	return n, n != nil
}

// child returns the value of a key of a mapping, or the item of a list.
func child(n *yaml.Node, step string, item bool) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch {
	case item && n.Kind == yaml.SequenceNode:
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(n.Content) {
			return n.Content[i]
		}
	case !item && n.Kind == yaml.MappingNode:
		for i := 0; i < len(n.Content); i += 2 {
			if n.Content[i].Value == step {
				return n.Content[i+1]
			}
		}
	}
	return nil
}

// step returns a key as it stands in a key path, with the dot before it.
func step(key string) string {
	plain := key != "" && len(key) <= maxQuoted
	for _, c := range key {
		plain = plain && (c == '_' || c == '-' || unicode.IsLetter(c) || unicode.IsDigit(c))
	}
	if plain {
		return "." + key
	}
	return "." + quote(key)
}
