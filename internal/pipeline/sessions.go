package pipeline

import (
	"net"
	"slices"
	"strings"
	"time"

	"github.com/periscope-collector/periscope/internal/discovery"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
)

// oneDirection is how many frames of one direction alone are no accident.
const oneDirection = 100

// The flags of a session that is not over.
const (
	FlagSilent    = "silent"          // known, and without a frame for Silence
	FlagUnknown   = "unknown"         // nothing explains its VNI
	FlagMismatch  = "source_mismatch" // a known VNI, from an address or interface that is not the known one's
	FlagDirection = "one_direction"   // 100 frames or more, all of one direction, and the mirror filter does not explain it
	FlagStale     = "stale"           // AWS, which said whose it is, has not been heard of it lately
)

// A SessionList is what is known of sessions at a moment. Its JSON form is
// described in docs/formats.md.
type SessionList struct {
	Time      time.Time    `json:"time"`
	Version   string       `json:"version"`
	Sessions  []SessionRow `json:"sessions"` // by name
	Discovery *Discovery   `json:"discovery,omitempty"`
}

// A SessionRow is what is known of one session. Times are left out while they
// are not known.
type SessionRow struct {
	SessionLedger
	Flags     []string  `json:"flags"`
	Resembles string    `json:"resembles,omitempty"` // of an unknown one: the known session of its VNI
	Learned   bool      `json:"learned"`
	Announced bool      `json:"announced,omitempty"` // it is no more than what the sender says of itself
	Over      bool      `json:"over"`
	Since     time.Time `json:"since,omitzero"` // when it began; of an unknown one the first frame
	Until     time.Time `json:"until,omitzero"`
	LastSeen  time.Time `json:"last_seen,omitzero"`
	Stale     time.Time `json:"stale_since,omitzero"` // since when AWS has not said that it is there
	FilterID  string    `json:"filter_id,omitempty"`  // of its mirror session
	Remark    string    `json:"remark,omitempty"`     // what would be a flag, and is meant

	Holder
}

// A Holder is whose a session is. What is not known is left out.
type Holder struct {
	Source            string            `json:"source,omitempty"`
	MAC               string            `json:"mac,omitempty"`
	Addresses         []string          `json:"addresses,omitempty"`
	InterfaceID       string            `json:"interface_id,omitempty"`
	AccountID         string            `json:"account_id,omitempty"`
	Region            string            `json:"region,omitempty"`
	VPCID             string            `json:"vpc_id,omitempty"`
	SubnetID          string            `json:"subnet_id,omitempty"`
	InstanceID        string            `json:"instance_id,omitempty"`
	SessionID         string            `json:"session_id,omitempty"`
	TargetID          string            `json:"target_id,omitempty"`
	Cluster           string            `json:"cluster,omitempty"`
	Service           string            `json:"service,omitempty"`
	TaskARN           string            `json:"task_arn,omitempty"`
	TaskDefinitionARN string            `json:"task_definition_arn,omitempty"`
	Labels            map[string]string `json:"labels,omitempty"`
}

// SessionList returns the sessions that are not over at a moment, or all that
// are remembered. What discovery says, nil while AWS is not asked, is passed on.
func (p *Pipeline) SessionList(now time.Time, all bool, version string, discovery *Discovery) SessionList {
	list := SessionList{Time: now.UTC(), Version: version, Sessions: []SessionRow{}, Discovery: discovery}
	rows, _ := p.sessionRows()
	known := knownSessions(rows, now.UnixNano())
	for i := range rows {
		r := &rows[i]
		over := r.SessionLedger.Over(now.UnixNano())
		if over && !all {
			continue
		}
		row := newSessionRow(r, over)
		filter, only := discovery.filterOf(r.session)
		row.FilterID = filter
		if !over {
			row.flag(r.session, now, known, only, discovery)
		}
		list.Sessions = append(list.Sessions, row)
	}
	slices.SortStableFunc(list.Sessions, func(a, b SessionRow) int { return strings.Compare(a.Name, b.Name) })
	return list
}

func newSessionRow(r *sessionRow, over bool) SessionRow {
	s := r.session
	row := SessionRow{
		SessionLedger: r.SessionLedger, Flags: []string{}, Learned: s.Learned, Announced: s.Announced, Over: over,
		Since: moment(s.From), Until: moment(r.Until), LastSeen: moment(r.LastSeen),
		Holder: NewHolder(s.Source, s.MAC, s.Addresses, &s.Workload),
	}
	if !s.Known {
		row.Since = moment(s.Since)
	}
	return row
}

// NewHolder returns a holder. Zero values are not known. It shares the labels.
func NewHolder(source packet.Addr, mac [6]byte, addresses []packet.Addr, w *packet.Workload) Holder {
	h := Holder{
		InterfaceID: w.InterfaceID, AccountID: w.AccountID, Region: w.Region, VPCID: w.VPCID, SubnetID: w.SubnetID,
		InstanceID: w.InstanceID, SessionID: w.SessionID, TargetID: w.TargetID,
		Cluster: w.Cluster, Service: w.Service, TaskARN: w.TaskARN, TaskDefinitionARN: w.TaskDefinitionARN, Labels: w.Labels,
	}
	if !source.IsZero() {
		h.Source = source.String()
	}
	if mac != [6]byte{} {
		h.MAC = net.HardwareAddr(mac[:]).String()
	}
	for _, a := range addresses {
		h.Addresses = append(h.Addresses, a.String())
	}
	return h
}

// moment returns a time of ns since 1970, or the zero time for 0.
func moment(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

// knownSessions returns the known sessions that are not over by identity, and
// one of each VNI under that alone.
func knownSessions(rows []sessionRow, now int64) map[session.Identity]*packet.Session {
	known := make(map[session.Identity]*packet.Session)
	for i := range rows {
		s := rows[i].session
		if !s.Known || rows[i].SessionLedger.Over(now) {
			continue
		}
		if id := (session.Identity{VNI: s.VNI}); known[id] == nil {
			known[id] = s
		}
		known[session.Identity{VNI: s.VNI, Source: s.Source}] = s
	}
	return known
}

// flag says what is wrong with a session that is not over.
// Of its mirror filter it is known that it accepts only the direction, if any.
func (r *SessionRow) flag(s *packet.Session, now time.Time, known map[session.Identity]*packet.Session, only packet.Direction, d *Discovery) {
	set := func(flag string, is bool) {
		if is {
			r.Flags = append(r.Flags, flag)
		}
	}
	if !s.Known {
		of := known[session.Identity{VNI: s.VNI, Source: s.Source}]
		if of == nil {
			of = known[session.Identity{VNI: s.VNI}]
		}
		if of != nil {
			r.Resembles = of.Name
		}
	}
	if s.Learned {
		r.Stale = d.staleSince(s)
	}
	direction := r.oneDirection()
	set(FlagSilent, r.Silent(now.UnixNano()))
	set(FlagUnknown, !s.Known && r.Resembles == "")
	set(FlagMismatch, r.Mismatched > 0 || r.Resembles != "")
	set(FlagDirection, direction != packet.DirectionUnknown && direction != only)
	set(FlagStale, !r.Stale.IsZero())
	if direction != packet.DirectionUnknown && direction == only {
		r.Remark = "its mirror filter " + r.FilterID + " accepts " + only.String() + " only"
	}
}

// oneDirection returns the direction that all frames have, if there are enough
// to tell, else DirectionUnknown.
func (r *SessionRow) oneDirection() packet.Direction {
	switch {
	case r.Ingress+r.Egress < oneDirection:
	case r.Egress == 0:
		return packet.Ingress
	case r.Ingress == 0:
		return packet.Egress
	}
	return packet.DirectionUnknown
}

// A Discovery is what AWS was asked, and what it said.
type Discovery struct {
	Scopes       []Scope           `json:"scopes"`
	Calls        map[string]uint64 `json:"calls"`                   // by operation
	Errors       map[string]uint64 `json:"errors"`                  // looks that lacked something, by kind
	JournalBytes int64             `json:"journal_bytes"`           // 0 without a journal
	JournalError string            `json:"journal_error,omitempty"` // why it does not have what is known; empty while it does
	Skipped      map[string]int    `json:"skipped"`                 // sessions of the last lists that no frame can be matched with, by reason

	Changes *Changes            `json:"changes,omitempty"` // nil while none are read
	Refused []discovery.Refusal `json:"refused,omitempty"` // interfaces that AWS does not want mirrored, by time

	filter func(session string) (id string, only packet.Direction) // nil: not known
	stale  map[string]time.Time                                    // mirror sessions, and since when
}

// A Scope is one account in one region. What is not known yet is empty.
type Scope struct {
	Account     string    `json:"account"`
	Region      string    `json:"region"`
	Sessions    int       `json:"sessions"`
	LastSuccess time.Time `json:"last_success,omitzero"`
	StaleSince  time.Time `json:"stale_since,omitzero"` // zero while all is as AWS says
	Kind        string    `json:"error_kind,omitempty"` // of the last error, while it lasts
	Error       string    `json:"error,omitempty"`
}

// Changes is how it stands with the changes of mirror sessions that are read.
type Changes struct {
	Read        uint64            `json:"read"`                 // since the start
	LeftOut     map[string]uint64 `json:"left_out"`             // that are of no use, by reason
	LastSuccess time.Time         `json:"last_read,omitzero"`   // when all were read last
	StaleSince  time.Time         `json:"stale_since,omitzero"` // zero while none can be missing
	Error       string            `json:"error,omitempty"`
}

// filterOf returns the mirror filter of a known session, and the one direction
// that it accepts, as far as known.
func (d *Discovery) filterOf(s *packet.Session) (id string, only packet.Direction) {
	if d == nil || d.filter == nil || s.Workload.SessionID == "" {
		return "", packet.DirectionUnknown
	}
	return d.filter(s.Workload.SessionID)
}

// staleSince returns since when AWS has not said of a session that it is there,
// if that is too long, else the zero time.
func (d *Discovery) staleSince(s *packet.Session) time.Time {
	if d == nil {
		return time.Time{}
	}
	return d.stale[s.Workload.SessionID].UTC()
}
