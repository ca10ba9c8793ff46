package awsfake

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
)

var sessions = &noun[*MirrorSession]{
	name: "trafficMirrorSession", missing: "InvalidTrafficMirrorSessionId.NotFound",
	fields: map[string]func(*MirrorSession) []string{
		"description":               func(s *MirrorSession) []string { return []string{s.Description} },
		"network-interface-id":      func(s *MirrorSession) []string { return []string{s.InterfaceID} },
		"owner-id":                  func(s *MirrorSession) []string { return []string{s.OwnerID} },
		"packet-length":             func(s *MirrorSession) []string { return number(s.PacketLength) },
		"session-number":            func(s *MirrorSession) []string { return number(&s.Number) },
		"traffic-mirror-filter-id":  func(s *MirrorSession) []string { return []string{s.FilterID} },
		"traffic-mirror-session-id": func(s *MirrorSession) []string { return []string{s.ID} },
		"traffic-mirror-target-id":  func(s *MirrorSession) []string { return []string{s.TargetID} },
		"virtual-network-id":        func(s *MirrorSession) []string { return []string{fmt.Sprint(s.VNI)} },
	},
}

func number(n *int32) []string {
	if n == nil {
		return nil
	}
	return []string{strconv.Itoa(int(*n))}
}

type describeSessionsIn struct {
	listing
	TrafficMirrorSessionID []string `query:"TrafficMirrorSessionId"`
}

type describeSessionsOut struct {
	Sessions Set[*MirrorSession] `xml:"trafficMirrorSessionSet"`
	Next     string              `xml:"nextToken,omitempty"`
}

// describeSessions shows the account's sessions, and those of others to targets
// of its.
func describeSessions(c *call, in *describeSessionsIn) (any, error) {
	all := make(map[string]*MirrorSession)
	for number, account := range c.state.Accounts {
		there := account.Regions[c.region]
		if there == nil {
			continue
		}
		for id, s := range there.Sessions {
			if _, ours := c.Targets[s.TargetID]; ours || number == c.account {
				all[id] = s
			}
		}
	}
	page, next, err := list(c, sessions, all, in.TrafficMirrorSessionID, in.listing)
	return describeSessionsOut{page, next}, err
}

type sessionOut struct {
	Session     *MirrorSession `xml:"trafficMirrorSession"`
	ClientToken string         `xml:"clientToken,omitempty"`
}

type createSessionIn struct {
	NetworkInterfaceID    string `query:"NetworkInterfaceId,required"`
	TrafficMirrorTargetID string `query:"TrafficMirrorTargetId,required"`
	TrafficMirrorFilterID string `query:"TrafficMirrorFilterId,required"`
	SessionNumber         int32  `query:",required"`
	PacketLength          *int32
	VirtualNetworkID      *int32 `query:"VirtualNetworkId"`
	Description           string
	ClientToken           string
	TagSpecification      []tagSpecification
}

func createSession(c *call, in *createSessionIn) (any, error) {
	tags, err := tagsOf("traffic-mirror-session", in.TagSpecification)
	if err != nil {
		return nil, err
	}
	if len(c.Sessions) >= cmp.Or(c.state.Quotas.Sessions, 10000) {
		return nil, refuse("TrafficMirrorSessionLimitExceeded", "Session limit reached (%d)", len(c.Sessions)+1)
	}
	made := &MirrorSession{
		TargetID: in.TrafficMirrorTargetID, FilterID: in.TrafficMirrorFilterID, InterfaceID: in.NetworkInterfaceID,
		OwnerID: c.account, PacketLength: in.PacketLength, Number: in.SessionNumber, Description: in.Description, Tags: tags,
	}
	if err := c.setVNI(made, in.VirtualNetworkID); err != nil {
		return nil, err
	}
	if err := c.check(made); err != nil {
		return nil, err
	}
	made.ID = c.id("tms")
	of := c.index().sessions
	of[made.InterfaceID] = append(of[made.InterfaceID], made)
	put(&c.Sessions, made.ID, made)
	c.made = append(c.made, *made)
	c.hide(made.ID)
	return sessionOut{made, in.ClientToken}, nil
}

// Made returns the sessions that were ever made, by a request or by Mirror, in
// order and as they were then.
func (f *Fake) Made() []MirrorSession {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.made)
}

type modifySessionIn struct {
	TrafficMirrorSessionID string `query:"TrafficMirrorSessionId,required"`
	TrafficMirrorTargetID  string `query:"TrafficMirrorTargetId"`
	TrafficMirrorFilterID  string `query:"TrafficMirrorFilterId"`
	SessionNumber          int32
	PacketLength           *int32
	VirtualNetworkID       *int32 `query:"VirtualNetworkId"`
	Description            *string
	RemoveField            []string
}

func modifySession(c *call, in *modifySessionIn) (any, error) {
	old := c.Sessions[in.TrafficMirrorSessionID]
	if old == nil {
		return nil, sessions.absent(in.TrafficMirrorSessionID)
	}
	s := *old
	s.TargetID = cmp.Or(in.TrafficMirrorTargetID, s.TargetID)
	s.FilterID = cmp.Or(in.TrafficMirrorFilterID, s.FilterID)
	s.Number = cmp.Or(in.SessionNumber, s.Number)
	s.PacketLength = cmp.Or(in.PacketLength, s.PacketLength)
	s.Description = *cmp.Or(in.Description, &s.Description)
	renew := in.VirtualNetworkID != nil
	for _, field := range in.RemoveField {
		switch field {
		case "packet-length":
			s.PacketLength = nil
		case "description":
			s.Description = ""
		case "virtual-network-id":
			renew = true
		default:
			return nil, refuse("InvalidParameterValue", "Value (%s) for parameter RemoveFields is invalid.", field)
		}
	}
	if renew {
		if err := c.setVNI(&s, in.VirtualNetworkID); err != nil {
			return nil, err
		}
	}
	if err := c.check(&s); err != nil {
		return nil, err
	}
	*old = s
	return sessionOut{Session: old}, nil
}

type deleteSessionIn struct {
	TrafficMirrorSessionID string `query:"TrafficMirrorSessionId,required"`
}

type deleteSessionOut struct {
	ID string `xml:"trafficMirrorSessionId"`
}

func deleteSession(c *call, in *deleteSessionIn) (any, error) {
	old := c.Sessions[in.TrafficMirrorSessionID]
	if old == nil {
		return nil, sessions.absent(in.TrafficMirrorSessionID)
	}
	of := c.index().sessions
	of[old.InterfaceID] = slices.DeleteFunc(of[old.InterfaceID], func(s *MirrorSession) bool { return s == old })
	delete(c.Sessions, in.TrafficMirrorSessionID)
	delete(c.hidden, in.TrafficMirrorSessionID)
	return deleteSessionOut{in.TrafficMirrorSessionID}, nil
}

// setVNI gives the session the number that is wanted, or one that no session of
// the account has.
func (c *call) setVNI(s *MirrorSession, wanted *int32) error {
	if wanted != nil {
		if *wanted < 1 || *wanted >= 1<<24 {
			return refuse("InvalidParameterValue", "Value (%d) for parameter VirtualNetworkId is invalid.", *wanted)
		}
		s.VNI = uint32(*wanted)
		return nil
	}
	random := rand.New(rand.NewPCG(c.state.Serial, 0))
	for s.VNI = 0; s.VNI == 0 || c.used(s.VNI); {
		s.VNI = random.Uint32N(1 << 24)
	}
	return nil
}

// used reports whether a session of the account has the VNI, in any region.
func (c *call) used(vni uint32) bool {
	for _, there := range c.state.Accounts[c.account].Regions {
		for _, s := range there.Sessions {
			if s.VNI == vni {
				return true
			}
		}
	}
	return false
}

// check refuses a session that AWS would: for what it names, or for a quota.
func (c *call) check(s *MirrorSession) error {
	source := c.Interfaces[s.InterfaceID]
	if source == nil {
		return interfaces.absent(s.InterfaceID)
	}
	if source.Type != "interface" {
		return refuse("InvalidParameterValue", "%s is of type %s and cannot be a source of traffic mirroring", source.ID, source.Type)
	}
	target := c.target(s.TargetID)
	if target == nil {
		return targets.absent(s.TargetID)
	}
	if c.Filters[s.FilterID] == nil {
		return filters.absent(s.FilterID)
	}
	if s.Number < 1 || s.Number > 32766 {
		return refuse("InvalidParameterValue", "Value (%d) for parameter SessionNumber is invalid.", s.Number)
	}
	if target.LoadBalancerARN != "" && s.PacketLength == nil {
		s.PacketLength = new(int32)
		*s.PacketLength = 8500
	}
	if n := s.PacketLength; n != nil && (*n < 1 || *n > 8500 && target.LoadBalancerARN != "") {
		return refuse("InvalidParameterValue", "Value (%d) for parameter PacketLength is invalid.", *n)
	}
	for id, t := range c.Targets {
		if t.InterfaceID == source.ID {
			return refuse("InvalidParameterValue", "%s is in use by target %s and cannot be a source", source.ID, id)
		}
	}
	return c.checkQuotas(s, target)
}

func (c *call) checkQuotas(s *MirrorSession, target *MirrorTarget) error {
	ofInterface := 1
	for _, other := range c.index().sessions[s.InterfaceID] {
		if other.ID == s.ID {
			continue
		}
		if ofInterface++; other.Number == s.Number {
			return refuse("InvalidParameterValue", "Session number %d of %s is in use by %s", s.Number, s.InterfaceID, other.ID)
		}
	}
	if ofInterface > cmp.Or(c.state.Quotas.SessionsPerInterface, 3) {
		return refuse("TrafficMirrorSessionsPerInterfaceLimitExceeded", "Sessions per interface limit reached (%d)", ofInterface)
	}
	if target.InterfaceID == "" {
		return nil
	}
	sources := map[string]bool{s.InterfaceID: true}
	for _, account := range c.state.Accounts {
		there := account.Regions[c.region]
		if there == nil {
			continue
		}
		for id, other := range there.Sessions {
			if id != s.ID && other.TargetID == target.ID {
				sources[other.InterfaceID] = true
			}
		}
	}
	if len(sources) > cmp.Or(c.state.Quotas.SourcesPerTarget, 10) {
		return refuse("TrafficMirrorSourcesPerTargetLimitExceeded", "Sources per interface-target limit reached (%d)", len(sources))
	}
	return nil
}
