package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"

	"github.com/periscope-collector/periscope/internal/pipeline"
)

// finish shows the ledger: as JSON in the file --summary names or, for "-", on
// stdout, and else for people on stdout. It is an error if the ledger does not
// balance.
func finish(l pipeline.Ledger, summary string, stdout io.Writer) error {
	var err error
	switch summary {
	case "-":
		err = l.Write(stdout)
	case "":
		err = printLedger(stdout, l)
	default:
		if err = printLedger(stdout, l); err == nil {
			err = writeSummary(l, summary)
		}
	}
	if err == nil && !l.Balanced {
		err = fmt.Errorf("the ledger is off by %d frames; this is a bug in periscope, please report it", l.Imbalance)
	}
	return err
}

func writeSummary(l pipeline.Ledger, path string) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("--summary: %w", err)
	}
	if err := l.Write(f); err != nil {
		f.Close()
		return fmt.Errorf("--summary %s: %w", path, err)
	}
	return f.Close()
}

// maxSessionLines bounds the sessions listed for people; --summary has all.
const maxSessionLines = 20

func printLedger(w io.Writer, l pipeline.Ledger) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(name string, v pipeline.Volume) {
		fmt.Fprintf(t, "%s\t%s\tpackets\t%s\tbytes\t\n", name, comma(v.Packets), comma(v.Bytes))
	}
	row("received", l.Received)
	row("delivered", l.Delivered)
	count := func(name string, n uint64) { fmt.Fprintf(t, "%s\t%s\tpackets\t\t\t\n", name, comma(n)) }
	for _, reason := range slices.Sorted(maps.Keys(l.NotDelivered)) {
		count("not delivered, "+reason, l.NotDelivered[reason])
	}
	if l.InFlight > 0 {
		count("in flight", l.InFlight)
	}
	count("lost before us", l.Lost.Socket+l.Lost.Ring+l.Lost.NIC)
	if l.Truncated > 0 {
		count("truncated", l.Truncated)
	}
	if l.Late > 0 {
		count("late", l.Late)
	}
	for _, kind := range slices.Sorted(maps.Keys(l.Anomalies)) {
		count("anomaly, "+kind, l.Anomalies[kind])
	}
	for i, s := range l.Sessions {
		if i == maxSessionLines {
			fmt.Fprintf(t, "%d more sessions\t\t\t\t\t\n", len(l.Sessions)-i)
			break
		}
		fmt.Fprintf(t, "session %s, VNI %d\t%s\tpackets\t%s\tbytes\t\n", s.Name, s.VNI, comma(s.Packets), comma(s.Bytes))
	}
	for _, name := range slices.Sorted(maps.Keys(l.Sinks)) {
		s := l.Sinks[name]
		count("sink "+name+", stored", s.Stored)
		if s.Pending > 0 {
			count("sink "+name+", pending", s.Pending)
		}
		for _, reason := range slices.Sorted(maps.Keys(s.Dropped)) {
			count("sink "+name+", dropped, "+reason, s.Dropped[reason])
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	verdict := "the ledger balances"
	if !l.Balanced {
		verdict = "THE LEDGER DOES NOT BALANCE"
	}
	_, err := fmt.Fprintln(w, strings.TrimSpace(verdict))
	return err
}

func comma(n uint64) string { return humanize.Comma(int64(n)) }
