package spool

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

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

// checkpoint returns the text of a new checkpoint.
func (s *Spool) checkpoint() []byte {
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
	return b.Bytes()
}

// writeCheckpoint replaces the checkpoint of a directory.
func writeCheckpoint(path string, b []byte) error {
	name := filepath.Join(path, checkpointName)
	f, err := os.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("write checkpoint: %w", err)
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(name+".new", name)
	}
	if err == nil {
		err = dir.Sync(path)
	}
	if err != nil {
		return fmt.Errorf("write checkpoint: %w", err)
	}
	return nil
}

// readCheckpoint returns what the checkpoint of a directory says, by segment;
// nothing, and that it is damaged, if it is not whole.
func readCheckpoint(path string) (points map[uint64]*checkpoint, damaged bool, err error) {
	f, err := os.OpenFile(filepath.Join(path, checkpointName), os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if os.IsNotExist(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, checkpointMax+1))
	if err != nil {
		return nil, false, err
	}
	points = parseCheckpoint(text)
	return points, points == nil, nil
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
		if err != nil || point == nil || sp.from < headerSize || sp.from >= sp.to || int64(sp.to) > point.size ||
			sp.events < 1 || int64(sp.events) > int64(sp.to-sp.from)/(recordSize+1) {
			return nil
		}
		point.pending = append(point.pending, sp)
	}
	return points
}
