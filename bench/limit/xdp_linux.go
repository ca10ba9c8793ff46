package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/periscope-collector/periscope/capture"
	"github.com/periscope-collector/periscope/packet"
)

// xdp receives from AF_XDP sockets as the collector does, without anything
// behind them: of that there is little that could be left out.
func (l *loop) xdp() error {
	x, err := capture.ListenXDP(capture.XDPConfig{Interface: l.iface, VXLAN: []uint16{port}, Workers: 1, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer x.Close()
	source := x.Sources()[0]
	fmt.Println("ready")
	for {
		if l.stop.Load() {
			x.Stop()
		}
		b, err := source.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		l.count += uint64(len(b.Datagrams))
		if err := l.batch(b); err != nil {
			return err
		}
		source.Release(b)
	}
}

func (l *loop) batch(b *packet.Batch) error {
	if l.out == nil {
		return nil
	}
	for i := range b.Datagrams {
		d := &b.Datagrams[i]
		frame := d.Buf[d.Off+vxlanLen:]
		if err := l.out.add(uint32(d.Time/1e9), uint32(d.Time%1e9), frame, d.Length-vxlanLen); err != nil {
			return err
		}
	}
	return nil
}
