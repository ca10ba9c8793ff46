package awsfake

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
)

// A form is the parameters of a request of the Query protocol: names with dots
// for members and numbers from 1 for elements.
type form struct {
	values  url.Values
	present map[string]bool // every name, and every part of one before a dot
	used    map[string]bool
}

// decodeQuery reads parameters into the fields of *in. A field's name is the
// parameter's, or its tag's; "required" after a comma makes its absence an
// error. A parameter that no field has is one too, as it is with AWS.
func decodeQuery(values url.Values, in any) error {
	f := form{values, make(map[string]bool), map[string]bool{"Action": true, "Version": true, "DryRun": true}}
	for name := range values {
		f.present[name] = true
		for i := range len(name) {
			if name[i] == '.' {
				f.present[name[:i]] = true
			}
		}
	}
	if err := f.fields("", reflect.ValueOf(in).Elem()); err != nil {
		return err
	}
	for name := range values {
		if !f.used[name] {
			return refuse("UnknownParameter", "The parameter %s is not recognized", name)
		}
	}
	return nil
}

func (f *form) fields(prefix string, v reflect.Value) error {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if field.Anonymous {
			if err := f.fields(prefix, v.Field(i)); err != nil {
				return err
			}
			continue
		}
		name, option, _ := strings.Cut(field.Tag.Get("query"), ",")
		if name == "" {
			name = field.Name
		}
		name = prefix + name
		if !f.present[name] {
			if option == "required" {
				return refuse("MissingParameter", "The request must contain the parameter %s", name)
			}
			continue
		}
		if err := f.value(name, v.Field(i)); err != nil {
			return err
		}
	}
	return nil
}

func (f *form) value(name string, v reflect.Value) error {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return f.value(name, v.Elem())
	case reflect.Struct:
		return f.fields(name+".", v)
	case reflect.Slice:
		for i := 1; f.present[name+"."+strconv.Itoa(i)]; i++ {
			element := reflect.New(v.Type().Elem()).Elem()
			if err := f.value(name+"."+strconv.Itoa(i), element); err != nil {
				return err
			}
			v.Set(reflect.Append(v, element))
		}
		return nil
	}
	f.used[name] = true
	text := f.values.Get(name)
	var err error
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		var b bool
		b, err = strconv.ParseBool(text)
		v.SetBool(b)
	case reflect.Int, reflect.Int32, reflect.Int64:
		var n int64
		n, err = strconv.ParseInt(text, 10, 32)
		v.SetInt(n)
	default:
		panic("no way to read a " + v.Type().String())
	}
	if err != nil {
		return refuse("InvalidParameterValue", "Invalid value '%s' for %s", text, name)
	}
	return nil
}

// encodeEC2 writes the reply to an EC2 operation: out's fields after the
// request's id.
func encodeEC2(operation, id string, out any) ([]byte, error) {
	return encodeXML(operation+"Response", "http://ec2.amazonaws.com/doc/2016-11-15/", "<requestId>"+id+"</requestId>", out, "")
}

// encodeSTS writes the reply to an STS operation.
func encodeSTS(operation, id string, out any) ([]byte, error) {
	result := operation + "Result"
	return encodeXML(operation+"Response", "https://sts.amazonaws.com/doc/2011-06-15/", "<"+result+">", out,
		"</"+result+"><ResponseMetadata><RequestId>"+id+"</RequestId></ResponseMetadata>")
}

func encodeXML(root, space, before string, out any, after string) ([]byte, error) {
	var b bytes.Buffer
	encoder := xml.NewEncoder(&b)
	if err := encoder.EncodeElement(out, xml.StartElement{Name: xml.Name{Local: "x"}}); err != nil {
		return nil, err
	}
	body := bytes.TrimSuffix(bytes.TrimPrefix(b.Bytes(), []byte("<x>")), []byte("</x>"))
	return fmt.Appendf(nil, "%s<%s xmlns=%q>%s%s%s</%s>\n", xml.Header, root, space, before, body, after, root), nil
}

// encodeError writes an error as the service does, with the status that goes with it.
func encodeError(s service, id string, err error) (status int, out []byte) {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		e = &Error{"InternalError", err.Error(), http.StatusInternalServerError}
	}
	return e.Status, e.encode(s, id)
}

func (e *Error) encode(s service, id string) []byte {
	switch s {
	case ecs:
		return fmt.Appendf(nil, `{"__type":%s,"message":%s}`, quote(e.Code), quote(e.Message))
	case s3:
		return fmt.Appendf(nil, "%s<Error><Code>%s</Code><Message>%s</Message><RequestId>%s</RequestId></Error>",
			xml.Header, escape(e.Code), escape(e.Message), id)
	case sts:
		return fmt.Appendf(nil, "<ErrorResponse xmlns=%q><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>%s</RequestId></ErrorResponse>\n",
			"https://sts.amazonaws.com/doc/2011-06-15/", escape(e.Code), escape(e.Message), id)
	}
	return fmt.Appendf(nil, "%s<Response><Errors><Error><Code>%s</Code><Message>%s</Message></Error></Errors><RequestID>%s</RequestID></Response>\n",
		xml.Header, escape(e.Code), escape(e.Message), id)
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder does not fail
	return b.String()
}
