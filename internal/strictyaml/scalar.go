package strictyaml

import (
	"encoding"
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// forms describe the types whose own errors would not say what to write.
var forms = map[reflect.Type]string{
	reflect.TypeFor[netip.Addr]():   "an address such as 10.0.0.1 or fd00::1",
	reflect.TypeFor[netip.Prefix](): "a prefix such as 10.0.0.0/8 or fd00::/8",
	reflect.TypeFor[time.Time]():    "a time such as 2026-01-31T15:04:05Z",
}

func (r *reader) text(n *yaml.Node, v reflect.Value, t encoding.TextUnmarshaler) {
	form := forms[v.Type()]
	switch {
	case isNull(n):
		r.errorf(n, "has no value; give one or remove the key")
	case form != "" && (!isText(n) || n.Value == ""):
		r.errorf(n, "must be %s, not %s", form, describe(n))
	case !isText(n):
		r.errorf(n, "must be text, not %s", describe(n))
	default:
		if err := t.UnmarshalText([]byte(n.Value)); err != nil && form != "" {
			r.errorf(n, "must be %s, not %s", form, quote(n.Value))
		} else if err != nil {
			r.errorf(n, "%v", err)
		}
	}
}

func (r *reader) scalar(n *yaml.Node, v reflect.Value) {
	switch kind := v.Kind(); {
	case kind == reflect.String:
		if !isText(n) {
			r.errorf(n, "must be text, not %s", describe(n))
			return
		}
		v.SetString(n.Value)
	case kind == reflect.Bool:
		if n.Tag != "!!bool" {
			r.errorf(n, "must be true or false, not %s", describe(n))
			return
		}
		v.SetBool(strings.EqualFold(n.Value, "true"))
	case v.CanInt():
		x, err := strconv.ParseInt(digits(n))
		if err != nil || v.OverflowInt(x) {
			least := int64(-1) << (v.Type().Bits() - 1)
			r.number(n, v, fmt.Sprintf(", %d to %d", least, ^least))
			return
		}
		v.SetInt(x)
	case v.CanUint():
		x, err := strconv.ParseUint(digits(n))
		if err != nil || v.OverflowUint(x) {
			most := uint64(1)<<v.Type().Bits() - 1
			r.number(n, v, fmt.Sprintf(", 0 to %d", most))
			return
		}
		v.SetUint(x)
	default:
		panic("strictyaml: cannot decode into a " + v.Type().String())
	}
}

// number reports that n is not an integer as v holds it. The limits of 64 bits
// are of no use to whoever reads the error.
func (r *reader) number(n *yaml.Node, v reflect.Value, limits string) {
	if v.Type().Bits() == 64 {
		limits = ""
	}
	r.errorf(n, "must be a whole number%s, not %s", limits, describe(n))
}

const quoted = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle

// digits returns a whole number as strconv takes it. Leading zeros, which YAML
// 1.1 reads as octal, and digits in quotes give what strconv refuses.
func digits(n *yaml.Node) (s string, base, bits int) {
	s, base = n.Value, 10
	if hex, ok := strings.CutPrefix(s, "0x"); ok {
		s, base = hex, 16
	}
	if n.Kind != yaml.ScalarNode || n.Style&quoted != 0 || base == 10 && len(s) > 1 && s[0] == '0' {
		s = ""
	}
	return s, base, 64
}

// isText reports whether n is a scalar with a meaning of its own as it is
// written, whatever YAML would make of it.
func isText(n *yaml.Node) bool {
	if n.Kind != yaml.ScalarNode {
		return false
	}
	switch n.Tag {
	case "!!str", "!!int", "!!float", "!!bool", "!!timestamp":
		return true
	}
	return false
}

// describe says what n is, for an error.
func describe(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode && n.Tag == "!!map":
		return "a mapping"
	case n.Kind == yaml.SequenceNode && n.Tag == "!!seq":
		return "a list"
	case n.Kind == yaml.ScalarNode && n.Style&quoted != 0:
		return quote(n.Value) + " in quotes"
	case isText(n):
		return quote(n.Value)
	case isNull(n):
		return "nothing"
	}
	return "tag " + quote(n.Tag)
}

// maxQuoted is how much of a value an error repeats, in bytes.
const maxQuoted = 64

// quote returns s between quotes, or its beginning if it is long.
func quote(s string) string {
	if len(s) > maxQuoted {
		return strconv.Quote(s[:maxQuoted]) + "..."
	}
	return strconv.Quote(s)
}
