package report

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/periscope-collector/periscope/filter"
	"github.com/periscope-collector/periscope/packet"
)

// topWorkloads is how many of the sessions that the frames came through are
// listed: those that would save most.
const topWorkloads = 20

// Write prints the result as text, once no frame comes any more.
func (s *Simulation) Write(w io.Writer) error {
	all := s.sum()
	var now, then tally
	for _, of := range all.workloads {
		now.add(&of.now)
		then.add(&of.then)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Simulation of %s: what its filters would have mirrored\n", printable(s.name))
	winners := table{left: 1 << 0}
	winners.add("mirrored by", "packets", "share", "bytes", "share")
	for i := range s.sessions {
		accepted := s.writeRules(&b, i, all.decided[i], &now)
		winners.add(append([]string{s.title(i)}, figures(&accepted, &now)...)...)
	}
	winners.add(append([]string{"none"}, figures(&all.unmatched, &now)...)...)
	winners.add("now", comma(now.packets), "", comma(now.bytes))
	b.WriteString("\nWhich session would mirror it\n\n")
	winners.write(&b, "")
	fmt.Fprintf(&b, "\nIt would save %s (%s) and %s (%s) of what is mirrored now.\n",
		plainly(all.unmatched.packets, "packet"), share(all.unmatched.packets, now.packets),
		plainly(all.unmatched.bytes, "byte"), share(all.unmatched.bytes, now.bytes))
	all.writeWorkloads(&b)
	b.WriteString("\nNotes\n")
	for _, note := range all.notes() {
		b.WriteString("- " + note + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (s *Simulation) title(i int) string {
	return fmt.Sprintf("session %d, filter %s", s.sessions[i].Number, printable(s.sessions[i].Filter.Name))
}

// figures are the cells of a tally: packets and bytes, each with its share.
func figures(t, of *tally) []string {
	return []string{comma(t.packets), share(t.packets, of.packets), comma(t.bytes), share(t.bytes, of.bytes)}
}

// writeRules prints what each rule of a session decided, in the order of their
// turns, and returns what the session accepted.
func (s *Simulation) writeRules(b *strings.Builder, i int, decided []tally, now *tally) (accepted tally) {
	f := s.sessions[i].Filter
	fmt.Fprintf(b, "\n%s", s.title(i))
	if f.Description != "" {
		fmt.Fprintf(b, " (%s)", printable(f.Description))
	}
	b.WriteString("\n\n")
	t := table{left: 1<<0 | 1<<2 | 1<<3 | 1<<8 | 1<<9 | 1<<10}
	t.add("direction", "number", "action", "packets of", "packets", "share", "bytes", "share", "first", "last", "rule")
	add := func(direction, number string, action filter.Action, what, rule string, of *tally) {
		row := append([]string{direction, number, action.String(), what}, figures(of, now)...)
		t.add(append(row, moment(of, of.first), moment(of, of.last), rule)...)
		if action == filter.Accept {
			accepted.add(of)
		}
	}
	for _, j := range turns(f) {
		r := &f.Rules[j]
		add(r.Direction.String(), fmt.Sprint(r.Number), r.Action, r.String(), printable(cmp.Or(r.Description, r.ID)), &decided[j])
	}
	dns := filter.Reject
	if f.AmazonDNS {
		dns = filter.Accept
	}
	add("both", "", dns, "Amazon DNS", "", &decided[place(f, filter.AmazonDNS)])
	add("both", "", filter.Reject, "no rule", "", &decided[place(f, filter.NoRule)])
	t.write(b, "")
	return accepted
}

// turns returns the rules of a filter, ingress first, by number.
func turns(f *filter.Filter) []int {
	order := make([]int, len(f.Rules))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(f.Rules[a].Direction, f.Rules[b].Direction), cmp.Compare(f.Rules[a].Number, f.Rules[b].Number))
	})
	return order
}

func moment(t *tally, ns int64) string {
	if t.packets == 0 {
		return "-"
	}
	return time.Unix(0, ns).UTC().Format("2006-01-02T15:04:05.000Z")
}

// plainly says how many of a thing there are, within a sentence.
func plainly(n uint64, thing string) string { return strings.TrimSpace(counted(n, thing)) }

// saved returns what would not be mirrored any more.
func (w *workload) saved() *tally {
	return &tally{packets: w.now.packets - w.then.packets, bytes: w.now.bytes - w.then.bytes}
}

// writeWorkloads prints what it would save for each session that frames came
// through.
func (w *simulated) writeWorkloads(b *strings.Builder) {
	list := slices.Collect(maps.Keys(w.workloads))
	if len(list) == 0 {
		return
	}
	slices.SortFunc(list, func(x, y *packet.Session) int {
		return cmp.Or(cmp.Compare(w.workloads[y].saved().bytes, w.workloads[x].saved().bytes),
			strings.Compare(x.Name, y.Name), cmp.Compare(x.VNI, y.VNI), cmp.Compare(x.ID, y.ID))
	})
	b.WriteString("\nBy session, those first that would save most\n\n")
	t := table{left: 1<<0 | 1<<1}
	t.add("session", "service", "packets now", "bytes now", "packets saved", "share", "bytes saved", "share")
	for _, session := range list[:min(len(list), topWorkloads)] {
		of := w.workloads[session]
		row := []string{printable(session.Name), cmp.Or(printable(session.Workload.Service), "-"), comma(of.now.packets), comma(of.now.bytes)}
		t.add(append(row, figures(of.saved(), &of.now)...)...)
	}
	t.write(b, "")
	if more := len(list) - topWorkloads; more > 0 {
		fmt.Fprintf(b, "and %s\n", plainly(uint64(more), "more session"))
	}
}

// notes are what must be known to read the figures.
func (w *simulated) notes() []string {
	notes := []string{
		"Bytes are of frames as they were sent, without the headers of the tunnel.",
		"The session with the lowest number that accepts a packet mirrors it, once; what it rejects goes on to the next.",
		"What is not mirrored now is not in the capture: a filter that accepts more would mirror more than is said here.",
	}
	if w.unknown.packets > 0 {
		notes = append(notes, fmt.Sprintf("Packets of unknown direction: %s, tried as ingress and as egress. "+
			"The session file tells by mac or addresses: --sessions FILE.", comma(w.unknown.packets)))
	}
	without := 0
	for session := range w.workloads {
		if len(session.Workload.VPCCIDRs) == 0 {
			without++
		}
	}
	if without > 0 {
		notes = append(notes, fmt.Sprintf("Sessions without vpc_cidrs in the session file: %d. Their Amazon DNS at VPC base+2 counts as other packets do.", without))
	}
	return notes
}
