package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
)

// print writes everything that was measured, in Markdown.
func (c *course) print(w io.Writer) {
	for _, line := range c.machine() {
		fmt.Fprintln(w, line)
	}
	var names []string
	for _, r := range c.receivers {
		names = append(names, r.name)
	}
	for _, size := range c.sizes {
		c.table(w, size, names)
	}
	c.replayTable(w)
	c.goals(w)
}

// table writes what was measured with frames of one size.
func (s *results) table(w io.Writer, size int, names []string) {
	limit := s.limits[size]
	fmt.Fprintf(w, "\n%s-byte frames; the sender alone makes %s a second at %s ns.\n\n",
		humanize.Comma(int64(size)), count(limit.rate()), count(limit.each(limit.cores)))
	row(w, "receiver", "packets/s, none lost", "to tcpdump", "CPU ns/packet (min-max)", "to tcpdump", "ms at the end", "both cores ns/packet",
		"lost at twice the rate", "anonymous MiB")
	row(w, slices.Repeat([]string{"---"}, 9)...)
	peer := s.figures[size]["tcpdump"]
	for _, name := range names {
		f := s.figures[size][name]
		if f == nil {
			continue
		}
		row(w, name, f.rateText(), ratioText(f.rateOnly(), peer.rateOnly()), f.costText(), ratioText(median(f.costs), peer.cost()),
			count(median(f.ends)), count(median(f.cores)), f.twiceText(), fmt.Sprint((f.anon+1<<20-1)>>20))
	}
}

func row(w io.Writer, cells ...string) { fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | ")) }

// count writes a number in groups of three digits.
func count(n float64) string { return humanize.Comma(int64(n + 0.5)) }

// ratioText writes a to b, or nothing if one of them was not measured.
func ratioText(a, b float64) string {
	if a == 0 || b == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", a/b)
}

// rateOnly and cost return medians, and 0 of what was not measured.
func (f *figures) rateOnly() float64 {
	if f == nil {
		return 0
	}
	rate, _ := f.rate()
	return rate
}

func (f *figures) cost() float64 {
	if f == nil {
		return 0
	}
	return median(f.costs)
}

// rateText writes the rate: with an S where the sender went no faster.
func (f *figures) rateText() string {
	rate, sender := f.rate()
	switch {
	case len(f.rates) == 0:
		return ""
	case rate == 0:
		return "below " + count(f.rates[0].rate)
	case sender:
		return count(rate) + " S"
	}
	return count(rate)
}

// costText writes the processor time, with a * where packets were lost at the
// common rate.
func (f *figures) costText() string {
	text := fmt.Sprintf("%s (%s-%s)", count(median(f.costs)), count(slices.Min(f.costs)), count(slices.Max(f.costs)))
	if f.missed {
		text += " *"
	}
	return text
}

// twiceText writes the share that was lost at twice the rate, or at the most the
// sender made.
func (f *figures) twiceText() string {
	if f.twice.sent == 0 {
		return ""
	}
	text := fmt.Sprintf("%.1f %%", 100*float64(f.twice.lost)/float64(f.twice.sent))
	if !f.twiceSure {
		text += fmt.Sprintf(" at %.1fx", f.twice.rate()/f.rates[0].rate)
	}
	return text
}

// replayTable writes what the runs took.
func (s *results) replayTable(w io.Writer) {
	if len(s.replay) == 0 {
		return
	}
	fmt.Fprintf(w, "\nReplay of 2,000,000 IMIX datagrams, 50,000 flows, 16 VNIs; medians of %d in turn, both cores free.\n\n", len(s.replay[0].wall))
	row(w, "program", "s (min-max)", "CPU s", "anonymous MiB")
	row(w, "---", "---", "---", "---")
	for _, r := range s.replay {
		row(w, "`"+r.name+"`", fmt.Sprintf("%.2f (%.2f-%.2f)", median(r.wall), slices.Min(r.wall), slices.Max(r.wall)),
			fmt.Sprintf("%.2f", median(r.cpu)), fmt.Sprint((r.anon+1<<20-1)>>20))
	}
}
