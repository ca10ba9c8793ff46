package report

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"unicode"

	"github.com/dustin/go-humanize"

	"github.com/periscope-collector/periscope/packet"
)

// order is that of the lines: what flow logs leave out, what is not documented,
// what they have.
var order = [packet.NumClasses]packet.Class{
	packet.AmazonDNS, packet.InstanceMeta, packet.TimeSync, packet.Activation, packet.DHCP, packet.ARP,
	packet.VPCRouter, packet.MirroredVXLAN,
	packet.TaskMeta, packet.PodIdentity, packet.LinkLocal,
	packet.OwnDNS, packet.ExternalNTP, packet.Ordinary,
}

// topTalkers is how many pairs of addresses are listed for each class.
const topTalkers = 5

// Write prints the report as text, once Close has returned without an error. Of
// the sessions, all there were, it takes the number of delivered frames that are
// not IP: they are in no record, are counted with ARP, and have no bytes.
func (r *Report) Write(w io.Writer, sessions []*packet.Session) error {
	select {
	case <-r.done:
	default:
		return errors.New("report: not every flow record is summed up; close it first")
	}
	var b strings.Builder
	b.WriteString("Blind spots: traffic that VPC Flow Logs leave out\n\n")
	r.writeClasses(&b, sessions)
	var talkers strings.Builder
	for _, c := range order {
		r.classes[c].writeTalkers(&talkers, c)
	}
	if talkers.Len() > 0 {
		b.WriteString("\nTop talkers, by bytes\n" + talkers.String())
	}
	b.WriteString("\nNotes\n")
	for _, note := range r.notes(sessions) {
		b.WriteString("- " + note + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// notIP counts the frames that are in no flow record, and the sessions with any.
func notIP(sessions []*packet.Session) (frames uint64, with int) {
	for _, s := range sessions {
		var n uint64
		for i := range s.Tallies {
			n += s.Tallies[i].NotIP.Load()
		}
		if frames += n; n > 0 {
			with++
		}
	}
	return frames, with
}

func (r *Report) writeClasses(b *strings.Builder, sessions []*packet.Session) {
	frames, with := notIP(sessions)
	all, blind := sum{packets: frames}, sum{packets: frames}
	for c := range r.classes {
		all.add(r.classes[c].sum)
		if packet.Class(c).Blind() {
			blind.add(r.classes[c].sum)
		}
	}
	t := table{left: 1<<0 | 1<<7 | 1<<8}
	t.add("class", "packets", "share", "bytes", "share", "records", "sessions", "flow logs", "AWS mirrors it")
	for _, c := range order {
		of, seen := r.classes[c].sum, len(r.classes[c].sessions)
		name := c.String()
		if c == packet.ARP {
			name, of.packets, seen = "arp, not IP", of.packets+frames, max(seen, with)
		}
		t.add(name, comma(of.packets), share(of.packets, all.packets), comma(of.bytes), share(of.bytes, all.bytes),
			comma(of.records), comma(uint64(seen)), inFlowLogs(c), mirrored(c, of.packets))
	}
	t.add("all", comma(all.packets), "", comma(all.bytes), "", comma(all.records))
	t.add("not in flow logs", comma(blind.packets), share(blind.packets, all.packets),
		comma(blind.bytes), share(blind.bytes, all.bytes), comma(blind.records))
	t.write(b, "")
}

// inFlowLogs says whether flow logs have the class.
func inFlowLogs(c packet.Class) string {
	switch c {
	case packet.MirroredVXLAN:
		return "not at its source"
	case packet.TaskMeta, packet.PodIdentity, packet.LinkLocal:
		return "not documented"
	}
	if c.Blind() {
		return "no"
	}
	return "yes"
}

// mirrored says whether AWS's mirroring can deliver the class.
func mirrored(c packet.Class, packets uint64) string {
	switch {
	case c == packet.AmazonDNS:
		return "as service amazon-dns"
	case c == packet.VPCRouter, c == packet.TaskMeta, c == packet.PodIdentity:
		return "not documented"
	case c == packet.MirroredVXLAN:
		return "not at its source"
	case c.Unexpected() && packets > 0:
		return "no: unexpected"
	case c.Unexpected():
		return "no"
	}
	return "yes"
}

func (c *class) writeTalkers(b *strings.Builder, of packet.Class) {
	list := c.talkers()
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%v\n", of)
	t := table{left: 1<<0 | 1<<1}
	rest := c.sum
	for _, k := range list[:min(len(list), topTalkers)] {
		t.add(printable(k.session.Name), address(k.addr[0])+" - "+address(k.addr[1]),
			counted(k.packets, "packet"), counted(k.bytes, "byte"))
		rest.packets -= k.packets
		rest.bytes -= k.bytes
	}
	if len(list) > topTalkers {
		others := strings.TrimSpace(counted(uint64(len(list)-topTalkers), "other"))
		if c.folded {
			others = "others"
		}
		t.add(others, "", counted(rest.packets, "packet"), counted(rest.bytes, "byte"))
	}
	t.write(b, "  ")
}

// notes are what must be known to read the figures.
func (r *Report) notes(sessions []*packet.Session) []string {
	notes := []string{
		"Bytes are of IP packets, as flow logs count them; frames that are not IP have none.",
		"The reverse: what security groups and network ACLs reject on the way in is in flow logs and never mirrored.",
	}
	frames, _ := notIP(sessions)
	var unexpected []string
	for _, c := range order {
		if c.Unexpected() && (r.classes[c].records > 0 || c == packet.ARP && frames > 0) {
			unexpected = append(unexpected, c.String())
		}
	}
	if len(unexpected) > 0 {
		notes = append(notes, "Unexpected ("+strings.Join(unexpected, ", ")+"): AWS does not mirror this; it came from another mirror or capture.")
	}
	if n := r.withoutCIDRs(); n > 0 {
		notes = append(notes, fmt.Sprintf("Sessions with DNS and without vpc_cidrs in the session file: %d. Their Amazon DNS at VPC base+2 counts as own_dns.", n))
	}
	if r.classes[packet.MirroredVXLAN].records > 0 {
		notes = append(notes, "mirror_vxlan is all of UDP port 4789; flow logs have it if it is an overlay network's.")
	}
	for _, c := range order {
		if r.classes[c].folded {
			notes = append(notes, fmt.Sprintf("%v: more than %s pairs of addresses; the smaller were summed up, and the talkers listed may have said more.", c, comma(maxPairs)))
		}
	}
	return notes
}

// withoutCIDRs counts the sessions with DNS whose VPC's resolver is not known.
func (r *Report) withoutCIDRs() int {
	n := 0
	for s := range r.classes[packet.OwnDNS].sessions {
		if len(s.Workload.VPCCIDRs) == 0 {
			n++
		}
	}
	return n
}

// printable returns a name without what could upset a terminal.
func printable(name string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return unicode.ReplacementChar
	}, name)
}

// address writes an address of a packet: "::" is one too.
func address(a packet.Addr) string { return netip.AddrFrom16(a).Unmap().String() }

func share(n, of uint64) string {
	switch percent := 100 * float64(n) / float64(of); {
	case n == 0:
		return "-"
	case percent < 0.1:
		return "<0.1%"
	default:
		return fmt.Sprintf("%.1f%%", percent)
	}
}

// counted says how many of a thing there are. One has a space where the others
// have their s, so that the digits of a column are in line.
func counted(n uint64, thing string) string {
	if n == 1 {
		return "1 " + thing + " "
	}
	return comma(n) + " " + thing + "s"
}

func comma(n uint64) string { return humanize.Comma(int64(n)) }
