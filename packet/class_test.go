package packet_test

import (
	"testing"

	"github.com/periscope-collector/periscope/packet"
)

// TestClasses holds what AWS documents of each class.
func TestClasses(t *testing.T) {
	type answer struct{ blind, unexpected bool }
	want := map[packet.Class]answer{
		packet.AmazonDNS:     {blind: true},
		packet.InstanceMeta:  {blind: true, unexpected: true},
		packet.TimeSync:      {blind: true, unexpected: true},
		packet.Activation:    {blind: true, unexpected: true},
		packet.DHCP:          {blind: true, unexpected: true},
		packet.ARP:           {blind: true, unexpected: true},
		packet.VPCRouter:     {blind: true},
		packet.MirroredVXLAN: {blind: true},
		packet.LinkLocal:     {unexpected: true},
	}
	for c := range packet.NumClasses {
		if got := (answer{c.Blind(), c.Unexpected()}); got != want[c] {
			t.Errorf("%v: %+v, want %+v", c, got, want[c])
		}
	}
}
