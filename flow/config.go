package flow

import (
	"fmt"
	"time"

	"github.com/periscope-collector/periscope/packet"
)

// A Config configures a Table. No field has a default.
type Config struct {
	// Workers is the number of goroutines that add frames, at least 1.
	Workers int

	// Shards is the number of logical shards, from Workers to 256. A frame is
	// of shard Frame.Shard. Live there are as many as workers, and every frame
	// a worker adds is of the shard that has the worker's number.
	Shards int

	// Capacity is the number of flows in all shards together; each gets its
	// share, rounded up, of at most 16,777,212.
	Capacity int

	// Interval is what a record covers at most: from 1 s to 15 m, counted from
	// 1970 UTC.
	Interval time.Duration

	// Idle is how long a flow is kept without packets. At the latest it is
	// forgotten after one and a half times as long.
	Idle time.Duration

	// Grace is how long a flow is kept without packets after both ends sent
	// FIN, or one RST.
	Grace time.Duration

	// Seed is that of all hashes: random live, so that nobody can choose
	// packets that collide, and fixed in replay.
	Seed uint64

	// DropDuplicates leaves a packet that came through another session before
	// out of the records. It is counted in Stats and tallies all the same.
	DropDuplicates bool

	// Emit gets each record, which is valid during the call. Calls for
	// different workers may run at once.
	Emit func(worker int, r *packet.Flow)

	// Cut is told, for each interval and by each worker, when the worker has
	// emitted every record of it, at most 3 s of the clock after the end, or
	// a quarter of an interval if that is less. In a gap of more than 60
	// intervals without a batch they are passed over. A record comes after the
	// Cut of its interval only for a frame that is older than the clock by more
	// than one interval, as in files that are not sorted by time.
	Cut func(worker int, c packet.Cut)
}

func (c *Config) check() error {
	switch {
	case c.Workers < 1:
		return fmt.Errorf("flow: %d workers: want at least 1", c.Workers)
	case c.Shards < c.Workers || c.Shards > 256:
		return fmt.Errorf("flow: %d shards: want from the number of workers (%d) to 256", c.Shards, c.Workers)
	case c.Capacity < 1 || c.share() > maxShare:
		return fmt.Errorf("flow: room for %d flows: want from 1 to %d for each of the %d shards", c.Capacity, maxShare, c.Shards)
	case c.Interval < time.Second || c.Interval > 15*time.Minute:
		return fmt.Errorf("flow: interval %v: want from 1s to 15m", c.Interval)
	case c.Idle < time.Second || c.Idle > 24*time.Hour:
		return fmt.Errorf("flow: idle time %v: want from 1s to 24h", c.Idle)
	case c.Grace < 0 || c.Grace > time.Hour:
		return fmt.Errorf("flow: time of grace %v: want from 0s to 1h", c.Grace)
	case c.Emit == nil || c.Cut == nil:
		return fmt.Errorf("flow: Emit and Cut must not be nil")
	}
	return nil
}

// share is the capacity of one shard.
func (c *Config) share() int { return (c.Capacity + c.Shards - 1) / c.Shards }
