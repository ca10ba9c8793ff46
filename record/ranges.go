package record

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"

	"github.com/periscope-collector/periscope/packet"
)

// maxRanges bounds ip-ranges.json in bytes. AWS's has about 2 MiB with 10,000
// prefixes; reading takes at most some 30 times the file's size.
const maxRanges = 16 << 20

// Ranges says which AWS service an address belongs to. It is immutable; nil
// knows none.
type Ranges struct {
	// starts are in order. An address from starts[i] on, and before
	// starts[i+1], is of services[i], which may be "".
	starts   []packet.Addr
	services []string
}

// LoadRanges reads a file as AWS publishes it at
// https://ip-ranges.amazonaws.com/ip-ranges.json. Errors say path and place.
func LoadRanges(path string) (*Ranges, error) {
	file, err := os.Open(path)
	if os.IsNotExist(err) {
		return nil, fmt.Errorf("ip ranges: %w; download https://ip-ranges.amazonaws.com/ip-ranges.json, or remove flows.ip_ranges", err)
	}
	if err != nil {
		return nil, fmt.Errorf("ip ranges: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxRanges+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("ip ranges: %w", err)
	case len(data) > maxRanges:
		return nil, fmt.Errorf("%s: has more than %d MiB; it must be AWS's ip-ranges.json", path, maxRanges>>20)
	}
	r, err := parseRanges(data)
	if err != nil {
		return nil, fmt.Errorf("%s:%w", path, err)
	}
	return r, nil
}

// Service returns AWS's name of the service that a belongs to, such as "S3", or
// "" if there is none. Where ranges overlap it is the most particular one: AMAZON
// stands for all of AWS's addresses, and EC2 contains those of other services,
// so that any other name goes before EC2, and EC2 before AMAZON. Between others
// the longer prefix decides, then the alphabet. It does not allocate.
func (r *Ranges) Service(a packet.Addr) string {
	if r == nil {
		return ""
	}
	low, high := 0, len(r.starts) // the first start above a is in [low, high]
	for low < high {
		middle := (low + high) / 2
		if bytes.Compare(r.starts[middle][:], a[:]) <= 0 {
			low = middle + 1
		} else {
			high = middle
		}
	}
	if low == 0 {
		return ""
	}
	return r.services[low-1]
}

// span is a prefix of the file, as the addresses in it.
type span struct {
	first, last packet.Addr
	service     string
}

// document is as much of the file as is used.
type document struct {
	Prefixes []struct {
		Prefix  string `json:"ip_prefix"`
		Service string `json:"service"`
	} `json:"prefixes"`
	IPv6Prefixes []struct {
		Prefix  string `json:"ipv6_prefix"`
		Service string `json:"service"`
	} `json:"ipv6_prefixes"`
}

// parseRanges reads the file's text. Its errors begin with line and column, or
// with a space and a key path.
func parseRanges(data []byte) (*Ranges, error) {
	var d document
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, place(data, err)
	}
	spans := make([]span, 0, len(d.Prefixes)+len(d.IPv6Prefixes))
	for i, p := range d.Prefixes {
		s, err := newSpan(p.Prefix, p.Service, true)
		if err != nil {
			return nil, fmt.Errorf(" prefixes[%d]: %w", i, err)
		}
		spans = append(spans, s)
	}
	for i, p := range d.IPv6Prefixes {
		s, err := newSpan(p.Prefix, p.Service, false)
		if err != nil {
			return nil, fmt.Errorf(" ipv6_prefixes[%d]: %w", i, err)
		}
		spans = append(spans, s)
	}
	if len(spans) == 0 {
		return nil, errors.New(" has no prefixes; it must be AWS's ip-ranges.json")
	}
	return flatten(spans), nil
}

// place says where in the text an error of json's is.
func place(data []byte, err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	offset := 0
	switch {
	case errors.As(err, &syntax):
		offset = int(syntax.Offset)
	case errors.As(err, &kind):
		offset = int(kind.Offset)
		err = fmt.Errorf("not AWS's ip-ranges.json: unexpected %s", kind.Value)
		if kind.Field != "" {
			err = fmt.Errorf("%w in %s", err, kind.Field)
		}
	}
	before := data[:min(max(offset-1, 0), len(data))] // the offset is behind the byte at fault
	line := 1 + bytes.Count(before, []byte{'\n'})
	column := len(before) - bytes.LastIndexByte(before, '\n')
	return fmt.Errorf("%d:%d: %w; download the file again", line, column, err)
}

// newSpan reads one entry of the file.
func newSpan(prefix, service string, is4 bool) (span, error) {
	p, err := netip.ParsePrefix(prefix)
	switch {
	case err != nil || p.Addr().Is4() != is4 || p.Addr().Is4In6():
		return span{}, fmt.Errorf("%s is not a prefix of its family", quote(prefix))
	case service == "":
		return span{}, fmt.Errorf("%s has no service", prefix)
	}
	s := span{first: packet.AddrFrom(p.Masked().Addr()), service: service}
	s.last = s.first
	for bit := 128 - (p.Addr().BitLen() - p.Bits()); bit < 128; bit++ {
		s.last[bit/8] |= 0x80 >> (bit % 8)
	}
	return s, nil
}

// rank orders services by how particular they are.
func rank(service string) int {
	switch service {
	case "AMAZON":
		return 0
	case "EC2":
		return 1
	}
	return 2
}

// flatten makes ranges side by side from spans that lie within each other:
// prefixes never overlap otherwise.
func flatten(spans []span) *Ranges {
	slices.SortFunc(spans, func(a, b span) int {
		return cmp.Or(
			bytes.Compare(a.first[:], b.first[:]),
			bytes.Compare(b.last[:], a.last[:]), // the wider one first
			cmp.Compare(rank(a.service), rank(b.service)),
			cmp.Compare(b.service, a.service), // so that the alphabet's first wins
		)
	})
	r := &Ranges{}
	var open []span // spans that hold the current address, with the service that holds in each
	leave := func() {
		after, over := next(open[len(open)-1].last)
		open = open[:len(open)-1]
		service := ""
		if len(open) > 0 {
			service = open[len(open)-1].service
		}
		if !over {
			r.add(after, service)
		}
	}
	for _, s := range spans {
		for len(open) > 0 && bytes.Compare(open[len(open)-1].last[:], s.first[:]) < 0 {
			leave()
		}
		if len(open) > 0 && rank(open[len(open)-1].service) > rank(s.service) {
			s.service = open[len(open)-1].service
		}
		open = append(open, s)
		r.add(s.first, s.service)
	}
	for len(open) > 0 {
		leave()
	}
	return r
}

// add begins a range at start, which is not below the last one's.
func (r *Ranges) add(start packet.Addr, service string) {
	if n := len(r.starts); n > 0 && r.starts[n-1] == start {
		r.services[n-1] = service
		return
	}
	r.starts = append(r.starts, start)
	r.services = append(r.services, service)
}

// next returns the address behind a; over says that there is none.
func next(a packet.Addr) (after packet.Addr, over bool) {
	for i := len(a) - 1; i >= 0; i-- {
		a[i]++
		if a[i] != 0 {
			return a, false
		}
	}
	return a, true
}
