package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/periscope-collector/periscope/internal/command"
	"github.com/periscope-collector/periscope/internal/pipeline"
	"github.com/periscope-collector/periscope/internal/table"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
	"github.com/periscope-collector/periscope/session/journal"
)

// A tenure is what a journal says of one holder of an address, as JSON.
type tenure struct {
	Name  string    `json:"name"`
	VNI   uint32    `json:"vni"`
	From  time.Time `json:"from,omitzero"`
	Until time.Time `json:"until,omitzero"` // left out while it lasts

	Announced bool `json:"announced,omitempty"` // it is no more than what the sender said of itself
	pipeline.Holder
}

// showJournal prints the tenures of a journal, those of one address and time if
// these are given.
func (c *sessionsCommand) showJournal(stdout, stderr io.Writer) error {
	var at time.Time
	var address netip.Addr
	var err error
	if c.at != "" {
		if at, err = parseTime(c.at); err != nil {
			return command.Usage(fmt.Errorf("--at %q: %w", c.at, err))
		}
	}
	if c.address != "" {
		if address, err = netip.ParseAddr(c.address); err != nil {
			return command.Usage(fmt.Errorf("--address %q: want an address such as 10.0.3.7", c.address))
		}
	}
	entries, damaged, err := journal.Load(c.journal)
	if err != nil {
		return err
	}
	if damaged > 0 {
		fmt.Fprintf(stderr, "periscope: %s damaged %s of %s passed over\n", comma(uint64(damaged)), units(uint64(damaged), "lines"), c.journal)
	}
	tenures := tenuresOf(entries, at, packet.AddrFrom(address))
	if c.json {
		e := json.NewEncoder(stdout)
		e.SetIndent("", "  ")
		return e.Encode(map[string]any{"tenures": tenures, "damaged": damaged})
	}
	if len(tenures) == 0 {
		_, err := fmt.Fprintf(stdout, "No tenure of that address and time; the journal has %s.\n", comma(uint64(len(entries))))
		return err
	}
	return tenureTable(tenures).Write(stdout)
}

// tenuresOf returns the tenures of an address, unless it is zero, at a time,
// unless it is zero, by address and begin.
func tenuresOf(entries []session.Entry, at time.Time, address packet.Addr) []tenure {
	slices.SortStableFunc(entries, func(a, b session.Entry) int {
		return cmp.Or(a.Source.Netip().Compare(b.Source.Netip()), cmp.Compare(a.From, b.From))
	})
	tenures := []tenure{}
	for i := range entries {
		e := &entries[i]
		if !address.IsZero() && address != e.Source && !slices.Contains(e.Addresses, address) {
			continue
		}
		if now := at.UnixNano(); !at.IsZero() && (now < e.From || e.Until != 0 && now >= e.Until) {
			continue
		}
		tenures = append(tenures, tenure{
			Name: e.Name, VNI: e.VNI, From: timeOf(e.From), Until: timeOf(e.Until), Announced: e.Announced,
			Holder: pipeline.NewHolder(e.Source, e.MAC, e.Addresses, &e.Workload),
		})
	}
	return tenures
}

func tenureTable(tenures []tenure) *table.Table {
	t := &table.Table{Columns: []table.Column{
		{Title: "ADDRESS", Soft: true}, {Title: "FROM (UTC)"}, {Title: "UNTIL"}, {Title: "VNI", Right: true},
		{Title: "SESSION", Soft: true}, {Title: "INTERFACE", Soft: true}, {Title: "WORKLOAD", Soft: true},
	}}
	for i := range tenures {
		s := &tenures[i]
		t.Add(cmp.Or(s.Source, "-"), clock(s.From), clock(s.Until), strconv.FormatUint(uint64(s.VNI), 10),
			table.Plain(s.Name), table.Plain(cmp.Or(s.InterfaceID, voucher(s.Announced))), table.Plain(workload(s.Service, s.Cluster, s.TaskARN, s.InstanceID)))
	}
	return t
}

// timeOf returns a time of ns since 1970, or the zero time for 0.
func timeOf(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

// clock shows a time in UTC, "-" for the zero time.
func clock(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.DateTime)
}
