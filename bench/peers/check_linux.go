package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/periscope-collector/periscope/bench/blast/live"
)

// parseSizes returns the sizes of a list, of frames that blast can make.
func parseSizes(list string) (sizes []int, err error) {
	for word := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < live.MinSize || n > live.MaxSize {
			return nil, fmt.Errorf("-sizes %s: %q: want bytes of a frame, %d to %d", list, word, live.MinSize, live.MaxSize)
		}
		sizes = append(sizes, n)
	}
	return sizes, nil
}

// checkCapture returns an error unless a file begins as a capture does.
func checkCapture(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("-capture: %w", err)
	}
	defer f.Close()
	// Of pcap, with microseconds and nanoseconds in either order of bytes, and pcapng.
	magics := []uint32{0xa1b2c3d4, 0xd4c3b2a1, 0xa1b23c4d, 0x4d3cb2a1, 0x0a0d0d0a}
	var b [4]byte
	if _, err := io.ReadFull(f, b[:]); err != nil || !slices.Contains(magics, binary.BigEndian.Uint32(b[:])) {
		return fmt.Errorf("-capture %s: neither pcap nor pcapng; bench/imix writes one", name)
	}
	return nil
}

// checkPrograms returns an error unless every program is there that is run.
func (c *course) checkPrograms() error {
	needed := []string{c.periscope}
	if c.replayed {
		if c.capture == "" {
			needed = append(needed, c.imix)
		}
		needed = append(needed, "tcpdump", "editcap")
	}
	if len(c.receivers) > 0 {
		needed = append(needed, c.blast)
	}
	for _, r := range c.receivers {
		needed = append(needed, r.args("")[0])
	}
	for _, name := range needed {
		if _, err := exec.LookPath(name); err == nil {
			continue
		}
		if !filepath.IsAbs(name) {
			return fmt.Errorf("no program %s: install it, as make bench-peers does", name)
		}
		return fmt.Errorf("no program %s: make bench-peers builds it, or go build -o DIR ./cmd/periscope ./bench/blast ./bench/limit ./bench/imix and -bin DIR", name)
	}
	return nil
}
