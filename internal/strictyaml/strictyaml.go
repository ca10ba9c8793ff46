// Package strictyaml reads one YAML document into Go values and refuses
// whatever it does not know: unknown and duplicate keys, wrong types, a second
// document. Every error says the line, the column and the key path, and several
// are reported at once. ReadFile reads the file that it is in.
//
// A [Document] holds the node tree of its input, some forty times the input's
// size, for as long as it is kept. It is immutable and safe for concurrent use.
// Aliases are followed where they stand, and bounded by maxAliased, so that a
// few lines cannot grow into gigabytes. Nesting is limited to maxDepth.
//
// It is not a YAML library: it writes nothing, keeps no comments, and knows
// neither merge keys nor application tags.
package strictyaml

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

const (
	// maxDepth limits how deep mappings and lists nest.
	maxDepth = 100

	// maxAliased limits how many aliases, keys and items are read through
	// aliases: 10,000 sessions that share nine values each. At 500 bytes an
	// item, 50 MB.
	maxAliased = 100_000

	// maxErrors limits how many errors are reported at once.
	maxErrors = 10
)

// Decode reads one YAML document into the struct v points to. It is Parse
// followed by [Document.Decode].
func Decode(name string, data []byte, v any) error {
	doc, err := Parse(name, data)
	if err != nil {
		return err
	}
	return doc.Decode(v)
}

// A Document is one parsed YAML document. It is immutable.
type Document struct {
	name string
	root *yaml.Node // nil if the document is empty
}

// Parse reads the syntax of one YAML document in UTF-8. The name, usually that
// of the file, begins every error. Empty input, or input of comments alone, is
// an empty document. Errors are of type *[Error].
func Parse(name string, data []byte) (*Document, error) {
	doc := &Document{name: name}
	if at := unreadable(data); at >= 0 {
		line, column := position(data[:at])
		return nil, &Error{Name: name, Line: line, Column: column,
			Message: "a byte that YAML does not allow; remove it, or save the file as UTF-8"}
	}
	loader, err := yaml.NewLoader(bytes.NewReader(data),
		yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(maxDepth))))
	if err != nil {
		return nil, err
	}
	var first, second yaml.Node
	switch err := loader.Load(&first); {
	case err == io.EOF:
		return doc, nil
	case err != nil:
		return nil, doc.syntax(err)
	}
	switch err := loader.Load(&second); {
	case err == nil:
		return nil, &Error{Name: name, Line: second.Line, Column: second.Column,
			Message: "a second document begins here; keep one document in a file"}
	case err != io.EOF:
		return nil, doc.syntax(err)
	}
	if root := first.Content[0]; !isNull(root) {
		doc.root = root
	}
	return doc, nil
}

// syntax turns an error of the YAML library into one of ours.
func (d *Document) syntax(err error) error {
	e := &Error{Name: d.name, Line: 1, Column: 1, Message: "not valid YAML: " + err.Error()}
	var le *yaml.LoadError
	if errors.As(err, &le) {
		e.Message = "not valid YAML: " + le.Message
		if le.ContextMsg != "" {
			e.Message += " " + le.ContextMsg
		}
		if le.Mark.Line > 0 {
			e.Line, e.Column = le.Mark.Line, le.Mark.Column
		}
	}
	return e
}

// Decode stores the document in the struct v points to. Keys that are absent
// leave their fields alone, so that defaults can be set before.
//
// A field is read from the key its yaml tag names, up to a comma; fields without
// a tag are ignored; those of a struct with the tag ",inline" are read as if they
// were of the struct around it. Types are string, bool, integers, structs, slices,
// map[string]string, pointers to these, and whatever implements
// [encoding.TextUnmarshaler], from text, or from a mapping too if it is a struct
// with tags. A string takes a scalar as it is written, so that
// 012345678901 keeps its zero and no stays "no". An integer is decimal, or
// hexadecimal with 0x. A key without a value is an error, but for a struct,
// which it leaves alone. A list replaces what the slice held.
//
// Up to ten errors, each an *[Error], are joined in the order of their lines.
// What v holds after an error is undefined. Decode panics if v is not a pointer
// to a struct, or holds a field of another type.
func (d *Document) Decode(v any) error {
	p := reflect.ValueOf(v)
	if p.Kind() != reflect.Pointer || p.Elem().Kind() != reflect.Struct {
		panic("strictyaml: Decode needs a pointer to a struct")
	}
	if d.root == nil {
		return nil
	}
	r := reader{name: d.name, fields: make(map[reflect.Type]map[string][]int)}
	r.value(d.root, p.Elem())
	return r.err()
}

// unreadable returns the offset of the first byte that is not part of a
// character YAML 1.2, section 5.1, allows; -1 if there is none.
func unreadable(data []byte) int {
	for i := 0; i < len(data); {
		c, size := utf8.DecodeRune(data[i:])
		switch {
		case c == utf8.RuneError && size == 1,
			c < ' ' && c != '\t' && c != '\n' && c != '\r',
			c >= 0x7f && c < 0xa0 && c != 0x85,
			c == '\ufeff' && i > 0, c == 0xfffe, c == 0xffff:
			return i
		}
		i += size
	}
	return -1
}

// position returns the line and the column, in characters, that follow text.
func position(text []byte) (line, column int) {
	last := bytes.LastIndexByte(text, '\n')
	return bytes.Count(text, []byte("\n")) + 1, utf8.RuneCount(text[last+1:]) + 1
}

func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Tag == "!!null"
}
