package capture

import "github.com/periscope-collector/periscope/packet"

// A Source lends batches of datagrams.
type Source interface {
	// Next lends the next batch, which may be empty. It returns io.EOF after
	// the last one, and after the source was closed. One goroutine at a time.
	Next() (*packet.Batch, error)

	// Release gives a batch back, after which nothing in it may be used. It
	// may be called from any goroutine, once for each batch lent.
	Release(*packet.Batch)
}
