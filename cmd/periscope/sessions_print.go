package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/periscope-collector/periscope/internal/discovery"
	"github.com/periscope-collector/periscope/internal/pipeline"
	"github.com/periscope-collector/periscope/internal/table"
)

// printSessions shows a list to people: the sessions, a line for each flag with
// what to do, and how it stands with AWS.
func printSessions(w io.Writer, list pipeline.SessionList) error {
	var b strings.Builder
	if len(list.Sessions) == 0 {
		b.WriteString("No session is known, and no frame has come.\n")
	} else {
		sessionTable(&list).Write(&b)
	}
	lines := flagLines(&list)
	if len(lines) > 0 {
		fmt.Fprintf(&b, "\n%s\n", strings.Join(lines, "\n"))
	}
	if d := list.Discovery; d != nil && len(d.Refused) > 0 {
		b.WriteByte('\n')
		writeRefused(&b, d.Refused, list.Time)
	}
	b.WriteByte('\n')
	if d := list.Discovery; d != nil {
		scopeTable(d.Scopes, list.Time).Write(&b)
		if c := d.Changes; c != nil && c.Error != "" {
			fmt.Fprintf(&b, "\nChanges of mirror sessions cannot be read: %s\n", table.Plain(c.Error))
		}
	} else {
		b.WriteString("AWS is not asked: the configuration has no aws.\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func sessionTable(list *pipeline.SessionList) *table.Table {
	t := &table.Table{Columns: []table.Column{
		{Title: "SESSION", Soft: true}, {Title: "VNI", Right: true}, {Title: "INTERFACE", Soft: true}, {Title: "WORKLOAD", Soft: true},
		{Title: "SINCE"}, {Title: "PACKETS", Right: true}, {Title: "BYTES", Right: true}, {Title: "LAST SEEN"}, {Title: "LOST", Right: true},
	}}
	for i := range list.Sessions {
		s := &list.Sessions[i]
		t.Add(table.Plain(s.Name), strconv.FormatUint(uint64(s.VNI), 10), table.Plain(cmp.Or(s.InterfaceID, voucher(s.Announced))), table.Plain(workload(s.Service, s.Cluster, s.TaskARN, s.InstanceID)),
			ago(s.Since, list.Time), packets(s.Packets), humanize.IBytes(s.Bytes), ago(s.LastSeen, list.Time), humanize.IBytes(s.LostBytes))
	}
	return t
}

// voucher says in the place of an interface that there is no more than the sender's
// word, "-" otherwise.
func voucher(announced bool) string {
	if announced {
		return "announced"
	}
	return "-"
}

// workload says in a word or two who is behind a session.
func workload(service, cluster, taskARN, instance string) string {
	if taskARN == "" && service == "" {
		return cmp.Or(instance, "-")
	}
	task := taskARN[strings.LastIndexByte(taskARN, '/')+1:]
	return strings.Trim(cmp.Or(service, cluster)+"/"+task[:min(len(task), 8)], "/")
}

// packets shows a number in at most nine characters.
func packets(n uint64) string {
	if n < 10_000_000 {
		return comma(n)
	}
	return humanize.SIWithDigits(float64(n), 1, "")
}

// spans are lengths of time in one letter.
var spans = []humanize.RelTimeMagnitude{
	{D: time.Second, Format: "now", DivBy: time.Second},
	{D: time.Minute, Format: "%ds %s", DivBy: time.Second},
	{D: time.Hour, Format: "%dm %s", DivBy: time.Minute},
	{D: 48 * time.Hour, Format: "%dh %s", DivBy: time.Hour},
	{D: math.MaxInt64, Format: "%dd %s", DivBy: 24 * time.Hour},
}

// ago says how long before now a time is, "-" for the zero time.
func ago(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return humanize.CustomRelTime(t, now, "ago", "ahead", spans)
}

// flagLines says what each flag of each session means, and what to do; and what
// is one-sided and meant.
func flagLines(list *pipeline.SessionList) (lines []string) {
	named := make(map[string]*pipeline.SessionRow)
	for i := range list.Sessions {
		named[list.Sessions[i].Name] = &list.Sessions[i]
	}
	for i := range list.Sessions {
		s := &list.Sessions[i]
		for _, flag := range s.Flags {
			text := flag
			if explain := flagTexts[flag]; explain != nil {
				text = explain(s, named[s.Resembles], list)
			}
			lines = append(lines, fmt.Sprintf("%s: %s (VNI %d): %s", table.Plain(flag), table.Cut(table.Plain(s.Name), 40), s.VNI, table.Plain(text)))
		}
		if s.Remark != "" {
			lines = append(lines, fmt.Sprintf("remark: %s (VNI %d): %s", table.Cut(table.Plain(s.Name), 40), s.VNI, table.Plain(s.Remark)))
		}
	}
	return lines
}

// flagTexts say why a session has a flag and what to do. known is the known
// session of the VNI of an unknown one, if it is in the list.
var flagTexts = map[string]func(s, known *pipeline.SessionRow, list *pipeline.SessionList) string{
	pipeline.FlagSilent: func(s, _ *pipeline.SessionRow, list *pipeline.SessionList) string {
		since := "no frame yet"
		if !s.LastSeen.IsZero() {
			since = "the last frame came " + ago(s.LastSeen, list.Time)
		}
		return since + "; see that its mirror session exists, its filter accepts and its target is this collector"
	},
	pipeline.FlagUnknown: func(_, _ *pipeline.SessionRow, list *pipeline.SessionList) string {
		if list.Discovery == nil {
			return "nothing explains its VNI; add it to the session file, or have AWS asked with aws in the configuration"
		}
		return "neither the session file nor AWS explains its VNI; see that aws.accounts and aws.targets name its account and target"
	},
	pipeline.FlagMismatch: func(s, known *pipeline.SessionRow, _ *pipeline.SessionList) string {
		switch {
		case s.Resembles == "":
			return fmt.Sprintf("%s of its %s frames come from an address that its interface does not have; correct its addresses, or find who sends them",
				comma(s.Mismatched), comma(s.Packets))
		case known != nil && known.Source != "" && known.Source == s.Source:
			return fmt.Sprintf("it has VNI and source of %s, and another interface; the address has passed on, or somebody copies it", s.Resembles)
		}
		return fmt.Sprintf("it has the VNI of %s, and another source; add it to the session file, or find who sends it", s.Resembles)
	},
	pipeline.FlagDirection: func(s, _ *pipeline.SessionRow, _ *pipeline.SessionList) string {
		seen, missing := "ingress", "egress"
		if s.Ingress == 0 {
			seen, missing = missing, seen
		}
		filter := strings.TrimSpace("its mirror filter " + s.FilterID)
		return fmt.Sprintf("all of it is %s; see that %s has a rule that accepts %s", seen, filter, missing)
	},
	pipeline.FlagStale: func(s, _ *pipeline.SessionRow, list *pipeline.SessionList) string {
		heard := "AWS has not answered since the start, " + ago(s.Stale, list.Time)
		if answeredAt(list.Discovery, s.Stale) {
			heard = "AWS was last heard " + ago(s.Stale, list.Time)
		}
		return heard + ", so the address may have passed on; the error is below"
	},
}

// answeredAt reports whether an account was listed last at a time.
func answeredAt(d *pipeline.Discovery, at time.Time) bool {
	return d != nil && slices.ContainsFunc(d.Scopes, func(s pipeline.Scope) bool { return s.LastSuccess.Equal(at) })
}

// maxRefusedShown is how many refusals are shown to people, the latest.
const maxRefusedShown = 50

// writeRefused shows the interfaces that AWS does not want mirrored, the latest
// first, with what it said.
func writeRefused(b *strings.Builder, refused []discovery.Refusal, now time.Time) {
	t := &table.Table{Columns: []table.Column{
		{Title: "REFUSED"}, {Title: "WORKLOAD"}, {Title: "SINCE"}, {Title: "TRIES", Right: true}, {Title: "CODE"}, {Title: "MESSAGE"},
	}}
	left := max(0, len(refused)-maxRefusedShown)
	for _, r := range slices.Backward(refused[left:]) {
		t.Add(table.Plain(r.InterfaceID), table.Cut(table.Plain(workload(r.Service, r.Cluster, r.TaskARN, cmp.Or(r.InstanceName, r.InstanceID))), 40), ago(r.Since, now),
			comma(uint64(r.Tries)), table.Plain(cmp.Or(r.Code, "-")), table.Plain(r.Message))
	}
	t.Write(b)
	if left > 0 {
		fmt.Fprintf(b, "and %s more; --json shows all\n", comma(uint64(left)))
	}
	advised := make(map[string]bool)
	for i := range refused {
		if text := refusedText(refused[i].Code); !advised[text] {
			advised[text] = true
			b.WriteString(text + "\n")
		}
	}
}

// refusedText says what to do about interfaces that AWS refuses with a code.
func refusedText(code string) string {
	switch {
	case code == "UnauthorizedOperation" || strings.HasPrefix(code, "AccessDenied"):
		return "Where the code is " + table.Plain(code) + ", let the policy of periscope-mirror's role allow it."
	case strings.HasSuffix(code, "LimitExceeded"):
		return "Where the code is " + table.Plain(code) + ", it is a quota: give the rules another target, or a load balancer as one."
	case strings.HasPrefix(code, "InvalidTrafficMirror"):
		return "Where the code is " + table.Plain(code) + ", give the rules a target and a filter that are there."
	}
	return "Where AWS does not mirror an interface, and that stays so, let a task send by itself, with \"periscope send --interface\"."
}

func scopeTable(scopes []pipeline.Scope, now time.Time) *table.Table {
	t := &table.Table{Columns: []table.Column{
		{Title: "AWS ACCOUNT"}, {Title: "REGION"}, {Title: "SESSIONS", Right: true}, {Title: "LAST SUCCESS"}, {Title: "ERROR", Soft: true},
	}}
	for i := range scopes {
		s := &scopes[i]
		t.Add(table.Plain(cmp.Or(s.Account, "-")), table.Plain(cmp.Or(s.Region, "-")), comma(uint64(s.Sessions)),
			cmp.Or(strings.TrimSuffix(ago(s.LastSuccess, now), "-"), "never"), table.Plain(cmp.Or(s.Error, "-")))
	}
	return t
}
