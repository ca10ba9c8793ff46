package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/periscope-collector/periscope/internal/command"
	"github.com/periscope-collector/periscope/internal/pipeline"
)

// finish shows the ledger: as JSON in the file --summary names or, for "-", on
// stdout, and else for people on stdout. It is an error if the ledger does not
// balance.
func finish(l pipeline.Ledger, summary string, stdout io.Writer) error {
	var err error
	if summary == "-" {
		err = l.Write(stdout)
	} else {
		if summary != "" {
			err = writeSummary(l, summary)
		}
		err = errors.Join(err, printLedger(stdout, l))
	}
	if !l.Balanced {
		err = errors.Join(err, fmt.Errorf("the ledger is off by %d frames; this is a bug in periscope, please report it", l.Imbalance))
	}
	return err
}

// probeSummary returns the error that writing the summary would end in, at the
// start instead of after days. It leaves nothing behind.
func probeSummary(path string) error {
	if path == "" || path == "-" {
		return nil
	}
	info, err := os.Stat(path)
	existed := err == nil
	if existed && !info.Mode().IsRegular() && !info.IsDir() {
		return nil // a pipe waits for its reader
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return command.Usage(fmt.Errorf("--summary: %w", err))
	}
	if !existed {
		os.Remove(path)
	}
	return f.Close()
}

func writeSummary(l pipeline.Ledger, path string) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("--summary: %w", err)
	}
	return errors.Join(l.Write(f), f.Close())
}

// maxSessionLines bounds the sessions listed for people; --summary has all.
const maxSessionLines = 20

// A line of the account: what, how many, of what, and, where they are known, how
// many bytes.
type line struct {
	name  string
	count uint64
	unit  string
	bytes string
}

// printLedger shows the account to people.
func printLedger(w io.Writer, l pipeline.Ledger) error {
	lines := ledgerLines(l)
	var name, count, bytes int
	for _, r := range lines {
		name, count, bytes = max(name, len(r.name)), max(count, len(comma(r.count))), max(bytes, len(r.bytes))
	}
	var b strings.Builder
	for _, r := range lines {
		fmt.Fprintf(&b, "%-*s  %*s %s", name, r.name, count, comma(r.count), units(r.count, r.unit))
		if r.bytes != "" {
			fmt.Fprintf(&b, "%*s  %*s bytes", len(r.unit)-len(units(r.count, r.unit)), "", bytes, r.bytes)
		}
		b.WriteByte('\n')
	}
	if extra := len(l.Sessions) - maxSessionLines; extra > 0 {
		fmt.Fprintf(&b, "and %d more sessions, which --summary lists\n", extra)
	}
	if l.Balanced {
		b.WriteString("the ledger balances\n")
	} else {
		b.WriteString("THE LEDGER DOES NOT BALANCE\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func ledgerLines(l pipeline.Ledger) []line {
	unit := "packets"
	lines := []line{
		{"received", l.Received.Packets, unit, comma(l.Received.Bytes)},
		{"delivered", l.Delivered.Packets, unit, comma(l.Delivered.Bytes)},
	}
	add := func(name string, n uint64) { lines = append(lines, line{name: name, count: n, unit: unit}) }
	some := func(name string, n uint64) {
		if n > 0 {
			add(name, n)
		}
	}
	each := func(prefix string, counts map[string]uint64) {
		for _, key := range slices.Sorted(maps.Keys(counts)) {
			some(prefix+key, counts[key])
		}
	}
	each("not delivered: ", l.NotDelivered)
	some("in flight", l.InFlight)
	add("lost before us", l.Lost.Socket+l.Lost.Ring+l.Lost.NIC)
	some("truncated", l.Truncated)
	some("cut to headers", l.Cut)
	some("late", l.Late)
	each("anomaly: ", l.Anomalies)
	for _, name := range slices.Sorted(maps.Keys(l.Sinks)) {
		s := l.Sinks[name]
		unit = unitOf(name)
		add("stored by "+name, s.Stored)
		some("pending in "+name, s.Pending)
		each("dropped by "+name+": ", s.Dropped)
	}
	for i, s := range l.Sessions {
		if i == maxSessionLines {
			break
		}
		lines = append(lines, line{fmt.Sprintf("session %s (VNI %d)", s.Name, s.VNI), s.Packets, "packets", comma(s.Bytes)})
	}
	return lines
}

// unitOf says what a sink counts.
func unitOf(sink string) string {
	switch sink {
	case "pcap":
		return "frames"
	case "splunk":
		return "events"
	}
	return "records"
}

// units is the word for n of them, such as packets.
func units(n uint64, plural string) string {
	if n == 1 {
		return strings.TrimSuffix(plural, "s")
	}
	return plural
}

func comma(n uint64) string { return humanize.Comma(int64(n)) }
