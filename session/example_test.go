package session_test

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
)

func Example() {
	entries, err := session.Parse("sessions.yaml", []byte(`
sessions:
- vni: 662316
  name: web
  mac: 0a:11:22:33:44:55
  ecs: {cluster: prod, service: web}
`))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	table := session.New(session.Config{Workers: 1, UnknownMax: 256, Log: slog.Default()})
	table.Replace(entries)

	source := packet.AddrFrom(netip.MustParseAddr("10.0.1.163"))
	for _, vni := range []uint32{662316, 7} {
		s, reason := table.Lookup(&packet.Frame{VNI: vni, Source: source})
		fmt.Println(s.Name, s.Known, s.Workload.Service, reason)
	}
	// Output:
	// web true web none
	// vni-7 false  none
}

func ExampleParse_error() {
	_, err := session.Parse("sessions.yaml", []byte("sessions:\n- vni: 7\n- vni: 7\n  mac: 0a:11:22\n"))
	fmt.Println(err)
	// Output:
	// sessions.yaml:4:8: sessions[1].mac: must be an interface's MAC address such as 0a:11:22:33:44:55
}
