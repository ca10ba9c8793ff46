package session

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"time"
)

// maxPacketLength is the most that a mirror session accepts as packet length
// (EC2 API, CreateTrafficMirrorSession).
const maxPacketLength = 8500

// MarshalJSON writes the entry with the keys of the session file, and leaves out
// what is not known.
func (e Entry) MarshalJSON() ([]byte, error) { return json.Marshal(e.file()) }

// UnmarshalJSON reads what MarshalJSON writes. Values are checked as those of the
// session file are, but for the name, which is not; other keys are passed over.
func (e *Entry) UnmarshalJSON(data []byte) error {
	var f entry
	if err := json.Unmarshal(data, &f); err != nil {
		return err
	}
	var first error
	f.check(func(key, format string, args ...any) {
		if first == nil {
			first = fmt.Errorf(key+": "+format, args...)
		}
	})
	if first != nil {
		return first
	}
	*e = f.entry()
	return nil
}

// check reports what is wrong with the values of an entry, by key.
func (f *entry) check(report func(key, format string, args ...any)) {
	switch {
	case f.VNI == nil:
		report("", "vni is missing; it is the only key that must be there")
	case *f.VNI > MaxVNI:
		report("vni", "must be 0 to %d, not %d", MaxVNI, *f.VNI)
	}
	address := func(key string, a netip.Addr) {
		if err := checkAddress(a); err != nil {
			report(key, "%v", err)
		}
	}
	address("source", f.Source)
	for i, a := range f.Addresses {
		address("addresses["+strconv.Itoa(i)+"]", a)
	}
	if f.PacketLength < 0 || f.PacketLength > maxPacketLength {
		report("packet_length", "must be 0 (whole packets) to %d bytes, not %d", maxPacketLength, f.PacketLength)
	}
	for i, t := range []*time.Time{f.From, f.Until} {
		if t != nil && (t.Unix() <= 0 || t.UTC().Year() > 2261) { // what int64 nanoseconds hold
			report([]string{"from", "until"}[i], "must be a time between 1970 and 2261")
		}
	}
	if f.From != nil && f.Until != nil && !f.From.Before(*f.Until) {
		report("until", "must be later than from")
	}
}

// checkAddress accepts the zero value, which stands for a key that is absent.
func checkAddress(a netip.Addr) error {
	switch {
	case !a.IsValid():
	case a.Zone() != "":
		return fmt.Errorf("must be an address without a zone; remove %q", "%"+a.Zone())
	case a.Unmap().IsUnspecified() || a.Unmap().IsMulticast():
		return fmt.Errorf("must be an interface's address, not %s", a)
	}
	return nil
}
