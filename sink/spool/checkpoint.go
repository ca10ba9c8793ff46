package spool

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"

	"github.com/periscope-collector/periscope/sink/dir"
)

// The checkpoint is text: how long each segment was, what of it was not
// committed, and the CRC-32C of those lines.
//
//	segment <number> <size>
//	pending <segment> <from> <to> <events> <time of the first>
//	crc <hexadecimal>
const (
	checkpointName = "checkpoint"
	checkpointMax  = 64 << 20
)

// writeCheckpoint replaces the checkpoint.
func (s *Spool) writeCheckpoint() error {
	var b bytes.Buffer
	for _, seg := range s.segments {
		fmt.Fprintf(&b, "segment %d %d\n", seg.number, seg.size)
	}
	pending := func(sp span) {
		fmt.Fprintf(&b, "pending %d %d %d %d %d\n", sp.segment, sp.from, sp.to, sp.events, sp.since)
	}
	for _, sp := range s.todo {
		pending(sp)
	}
	for batch := range s.out {
		pending(batch.span)
	}
	fmt.Fprintf(&b, "crc %08x\n", crc32.Checksum(b.Bytes(), castagnoli))
	path := filepath.Join(s.cfg.Dir, checkpointName)
	if err := replace(path, b.Bytes()); err != nil {
		return fmt.Errorf("write checkpoint: %w", err)
	}
	s.changed = false
	return dir.Sync(s.cfg.Dir)
}

func replace(path string, b []byte) error {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	return err
}

// A checkpoint is what one says of a segment.
type checkpoint struct {
	size    int64
	pending []span // by position
}

// parseCheckpoint returns what a checkpoint says, by segment; nothing if it is
// not whole.
func parseCheckpoint(b []byte) map[uint64]*checkpoint {
	end := bytes.LastIndex(b, []byte("crc "))
	if end < 0 || len(b) > checkpointMax || string(b[end:]) != fmt.Sprintf("crc %08x\n", crc32.Checksum(b[:end], castagnoli)) {
		return nil
	}
	points := make(map[uint64]*checkpoint)
	for line := range bytes.Lines(b[:end]) {
		var n uint64
		var size int64
		var sp span
		if _, err := fmt.Sscanf(string(line), "segment %d %d\n", &n, &size); err == nil {
			points[n] = &checkpoint{size: size}
			continue
		}
		_, err := fmt.Sscanf(string(line), "pending %d %d %d %d %d\n", &sp.segment, &sp.from, &sp.to, &sp.events, &sp.since)
		point := points[sp.segment]
		if err != nil || point == nil || sp.from < headerSize || sp.from >= sp.to || int64(sp.to) > point.size || sp.events < 1 {
			return nil
		}
		point.pending = append(point.pending, sp)
	}
	return points
}
