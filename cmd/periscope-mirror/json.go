package main

import (
	"encoding/json"
	"errors"
	"io"

	"github.com/periscope-collector/periscope/internal/command"
	"github.com/periscope-collector/periscope/mirror"
)

// What reconcile prints as JSON.
type (
	outcomeJSON struct {
		DryRun  bool         `json:"dry_run"`
		Actions []actionJSON `json:"actions"`
		Held    []heldJSON   `json:"held"`
		Notices []noticeJSON `json:"notices"`
	}
	actionJSON struct {
		Verb     string        `json:"verb"`
		Session  sessionJSON   `json:"session"`
		Before   *sessionJSON  `json:"before,omitempty"` // to modify it
		Workload *workloadJSON `json:"workload,omitempty"`
		Rule     string        `json:"rule,omitempty"`
		Reason   string        `json:"reason,omitempty"`
		Outcome  string        `json:"outcome,omitempty"` // not of a dry run
		Error    string        `json:"error,omitempty"`
		Code     string        `json:"code,omitempty"` // of AWS's refusal, verbatim
		Message  string        `json:"message,omitempty"`
	}
	heldJSON struct {
		Interface string        `json:"interface_id"`
		SessionID string        `json:"session_id,omitempty"`
		Workload  *workloadJSON `json:"workload,omitempty"`
		Rule      string        `json:"rule,omitempty"`
		Reason    string        `json:"reason"`
		Code      string        `json:"code,omitempty"` // of AWS's refusal, verbatim
		Message   string        `json:"message,omitempty"`
	}
	noticeJSON struct {
		Quota string `json:"quota"`
		ID    string `json:"id,omitempty"`
		Used  int    `json:"used"`
		Limit int    `json:"limit"`
	}
	sessionJSON struct {
		ID           string `json:"session_id,omitempty"`
		Interface    string `json:"interface_id"`
		Target       string `json:"target_id"`
		Filter       string `json:"filter_id"`
		Number       int    `json:"session_number"`
		VNI          uint32 `json:"vni"`
		PacketLength int    `json:"packet_length,omitempty"`
	}
	workloadJSON struct {
		Cluster      string `json:"cluster,omitempty"`
		Service      string `json:"service,omitempty"`
		TaskARN      string `json:"task_arn,omitempty"`
		InstanceID   string `json:"instance_id,omitempty"`
		InstanceName string `json:"instance_name,omitempty"`
	}
)

// printJSON writes what came of rounds as one JSON object.
func printJSON(w io.Writer, o outcome) error {
	out := outcomeJSON{DryRun: o.dry, Actions: []actionJSON{}, Held: []heldJSON{}, Notices: []noticeJSON{}}
	for i := range o.results {
		r := &o.results[i]
		a := actionJSON{
			Verb: string(r.Action.Verb), Session: sessionOf(&r.Session), Workload: workloadOf(r.Action.Source),
			Rule: r.Action.Rule, Reason: r.Action.Reason, Outcome: string(r.Outcome),
		}
		if r.Action.Verb == mirror.Modify {
			before := sessionOf(&r.Action.Before)
			a.Before = &before
		}
		if r.Err != nil {
			a.Error = command.OneLine(r.Err)
		}
		if said, ok := errors.AsType[*mirror.Refusal](r.Err); ok {
			a.Code, a.Message = said.Code, said.Message
		}
		out.Actions = append(out.Actions, a)
	}
	for i := range o.plan.Held {
		h := &o.plan.Held[i]
		held := heldJSON{Interface: h.Session.InterfaceID, SessionID: h.Session.ID, Workload: workloadOf(h.Source), Rule: h.Rule, Reason: h.Reason}
		if h.Refused != nil {
			held.Code, held.Message = h.Refused.Code, h.Refused.Message
		}
		out.Held = append(out.Held, held)
	}
	for _, n := range o.plan.Notices {
		out.Notices = append(out.Notices, noticeJSON(n))
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(out)
}

func sessionOf(s *mirror.Session) sessionJSON {
	return sessionJSON{s.ID, s.InterfaceID, s.TargetID, s.FilterID, s.Number, s.VNI, s.PacketLength}
}

func workloadOf(s *mirror.Source) *workloadJSON {
	switch {
	case s == nil:
		return nil
	case s.Task != nil:
		return &workloadJSON{Cluster: s.Task.Cluster, Service: s.Task.Service, TaskARN: s.Task.ARN}
	case s.Instance != nil:
		return &workloadJSON{InstanceID: s.Instance.ID, InstanceName: s.Instance.Name}
	}
	return nil
}
