package main

import (
	"cmp"
	"fmt"
	"io"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/periscope-collector/periscope/internal/command"
	"github.com/periscope-collector/periscope/internal/table"
	"github.com/periscope-collector/periscope/mirror"
)

// printOutcome shows what came of rounds to people: a table of what was done, or of
// what is to be, and sentences about the rest.
func printOutcome(w io.Writer, o outcome) error {
	var b strings.Builder
	if len(o.results) == 0 {
		b.WriteString("Nothing is to be done.\n")
	} else if err := actionTable(o).Write(&b); err != nil {
		return err
	}
	lines := sentences(o)
	if len(lines) > 0 {
		fmt.Fprintf(&b, "\n%s\n", strings.Join(lines, "\n"))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func actionTable(o outcome) *table.Table {
	t := &table.Table{Columns: []table.Column{
		{Title: "ACTION"}, {Title: "INTERFACE", Soft: true}, {Title: "WORKLOAD", Soft: true}, {Title: "VNI", Right: true},
		{Title: "TARGET", Soft: true}, {Title: "REASON", Soft: true},
	}}
	if !o.dry {
		t.Columns = append(t.Columns, table.Column{Title: "OUTCOME"})
	}
	for i := range o.results {
		r := &o.results[i]
		s := &r.Session
		row := []string{
			string(r.Action.Verb), cmp.Or(s.InterfaceID, "-"), workload(r.Action.Source), strconv.FormatUint(uint64(s.VNI), 10),
			cmp.Or(s.TargetID, "-"), cmp.Or(before.ReplaceAllString(r.Action.Reason, ""), "-"), string(r.Outcome),
		}[:len(t.Columns)]
		for i := range row {
			row[i] = table.Plain(row[i])
		}
		t.Add(row...)
	}
	return t
}

// before is what a sentence below the table says in full: what a session had.
var before = regexp.MustCompile(` instead of [^,]*`)

// workload says in a word or two what is behind an interface.
func workload(s *mirror.Source) string {
	switch {
	case s == nil:
		return "-"
	case s.Task != nil:
		task := path.Base(s.Task.ARN)
		return cmp.Or(s.Task.Service, s.Task.Family) + "/" + task[:min(len(task), 8)]
	case s.Instance != nil:
		return cmp.Or(s.Instance.Name, s.Instance.ID)
	}
	return "-"
}

// sentences say what is changed, what was refused or failed, what is held back, and
// which quotas are near.
func sentences(o outcome) (lines []string) {
	add := func(format string, args ...any) { lines = append(lines, table.Plain(fmt.Sprintf(format, args...))) }
	for i := range o.results {
		r := &o.results[i]
		about := fmt.Sprintf("%s (%s)", r.Action.Session.InterfaceID, workload(r.Action.Source))
		if r.Action.Verb == mirror.Modify {
			add("modify: %s: %s", about, r.Action.Reason)
		}
		if r.Err != nil {
			add("%s: %s %s: %s", r.Outcome, r.Action.Verb, about, command.OneLine(r.Err))
		}
	}
	for i := range o.plan.Held {
		h := &o.plan.Held[i]
		add("held: %s (%s): %s", h.Session.InterfaceID, workload(h.Source), h.Reason)
	}
	for _, n := range o.plan.Notices {
		add("quota: %s: %d of %d", strings.TrimSpace(n.Quota+" "+n.ID), n.Used, n.Limit)
	}
	return lines
}
