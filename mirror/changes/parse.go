package changes

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// The ranges of a session's numbers (EC2 API, CreateTrafficMirrorSession).
const (
	maxVNI          = 1<<24 - 1
	maxNumber       = 32766
	maxPacketLength = 8500
)

// maxID is how long an id or an ARN may be, in bytes.
const maxID = 512

// Parse returns the change that an object holds. Fields that it does not know are
// passed over. It does not look at Reason, Code, Message, Rule and names: they may
// hold any text.
func Parse(data []byte) (Change, error) {
	var c Change
	if len(data) > MaxObject {
		return c, fmt.Errorf("change: %w", ErrTooLong)
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return Change{}, fmt.Errorf("change: %w", err)
	}
	if err := c.validate(); err != nil {
		return Change{}, fmt.Errorf("change: %w", err)
	}
	c.At = c.At.UTC()
	return c, nil
}

// encode returns a change as an object holds it.
func encode(c *Change) ([]byte, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(c); err != nil {
		return nil, err
	}
	if b.Len() > MaxObject {
		return nil, ErrTooLong
	}
	return b.Bytes(), nil
}

// validate says what is wrong with a change.
func (c *Change) validate() error {
	if !kinds[c.Kind] {
		return fmt.Errorf("kind %.40q is none of created, modified, deleted and refused", c.Kind)
	}
	for _, field := range []struct {
		name, value string
		valid       func(string) bool
	}{
		{"account", c.Account, validAccount},
		{"region", c.Region, validRegion},
		{"interface_id", c.InterfaceID, validInterface},
		{"session_id", c.SessionID, func(s string) bool { return isWord(s) && (s != "" || c.Kind == Refused) }},
		{"target_id", c.TargetID, isWord},
		{"filter_id", c.FilterID, isWord},
		{"vpc_id", c.VPCID, isWord},
		{"subnet_id", c.SubnetID, isWord},
		{"az_id", c.AZID, isWord},
		{"instance_id", c.InstanceID, isWord},
		{"mac", c.MAC, isMAC},
	} {
		if !field.valid(field.value) {
			return fmt.Errorf("%s %.80q is not one", field.name, field.value)
		}
	}
	switch year := c.At.UTC().Year(); {
	case year < 1970 || year > 2200: // 64 bits of nanoseconds are of 1678 to 2262
		return fmt.Errorf("at %s is not the time of a change", c.At.Format(time.RFC3339))
	case c.VNI > maxVNI:
		return fmt.Errorf("vni %d is above %d", c.VNI, maxVNI)
	case c.Number < 0 || c.Number > maxNumber:
		return fmt.Errorf("session_number %d is not 0 to %d", c.Number, maxNumber)
	case c.PacketLength < 0 || c.PacketLength > maxPacketLength:
		return fmt.Errorf("packet_length %d is not 0 to %d", c.PacketLength, maxPacketLength)
	case c.Address.Zone() != "":
		return errors.New("address has a zone")
	}
	return c.ECS.validate()
}

func (e *ECS) validate() error {
	if e == nil {
		return nil
	}
	for _, id := range append([]string{e.ClusterARN, e.TaskARN, e.TaskDefinitionARN, e.ContainerInstance}, e.ContainerIDs...) {
		if !isWord(id) {
			return fmt.Errorf("ecs: %.80q is no id or ARN", id)
		}
	}
	return nil
}

// isWord reports whether s is empty, or may be an id or ARN.
func isWord(s string) bool {
	return len(s) <= maxID && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

func isMAC(s string) bool {
	if s == "" {
		return true
	}
	mac, err := net.ParseMAC(s)
	return err == nil && len(mac) == 6
}
