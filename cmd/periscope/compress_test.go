package main

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// compress returns data as the compressor of that suffix would.
func compress(t *testing.T, data []byte, suffix string) []byte {
	t.Helper()
	var b bytes.Buffer
	var err error
	if suffix == ".gz" {
		w := gzip.NewWriter(&b)
		_, err = w.Write(data)
		if err == nil {
			err = w.Close()
		}
	} else {
		var w *zstd.Encoder
		if w, err = zstd.NewWriter(&b); err == nil {
			_, err = w.Write(data)
		}
		if err == nil {
			err = w.Close()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func packed(t *testing.T, data []byte, suffix string) string {
	t.Helper()
	return writeFile(t, filepath.Join(t.TempDir(), "mirror.pcap"+suffix), compress(t, data, suffix))
}
