package tap

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/lab"
)

// Over its share of the processor, it lets the task be for a while.
func TestTapPausesWhenItIsBusy(t *testing.T) {
	w := newWire(t)
	w.collector(peerAddr)
	var used atomic.Int64
	tap, j, stop := w.tap(Config{VNI: 77, CPU: 0.5, used: func() time.Duration { return time.Duration(used.Load()) }})
	c := w.datagrams(5000)
	for range 2 {
		was := tap.Stats()
		lab.Eventually(t, "it pauses, and loses frames", func() bool {
			used.Add(int64(time.Minute)) // again and again: a pause may pass without a frame
			c.Write(make([]byte, 100))
			s := tap.Stats()
			return s.Pauses > was.Pauses && s.Dropped["paused"] > was.Dropped["paused"]
		})
		before := tap.Stats().Mirrored
		lab.Eventually(t, "it mirrors again", func() bool {
			c.Write(make([]byte, 100))
			return tap.Stats().Mirrored > before
		})
	}
	stop()
	said, over := j.count("mirroring pauses"), j.count("goes on without pauses") // over: none for long
	if said < 1 || said > 1+over || j.count(busy) != said {
		t.Errorf("%d lines about pauses, %d of them say why, %d that they are over", said, j.count(busy), over)
	}
}

// When the queue of the interface drops, the task goes first.
func TestTapPausesWhenTheQueueDrops(t *testing.T) {
	lab.Need(t, "tc")
	w := newWire(t)
	w.shell(w.task, "tc qdisc add dev eth0 root tbf rate 1mbit burst 10kb limit 20kb")
	w.collector(peerAddr)
	tap, j, stop := w.tap(Config{VNI: 77})
	c := w.datagrams(5000)
	lab.Eventually(t, "it pauses", func() bool {
		for range 200 { // 10 times what the queue takes
			c.Write(make([]byte, 1000))
		}
		return tap.Stats().Pauses > 0
	})
	stop()
	if j.count(queued) != 1 {
		t.Errorf("%d lines say why", j.count(queued))
	}
}

// When the control group got less of the processor than it wanted, the task goes first.
func TestTapPausesWhenThrottled(t *testing.T) {
	w := newWire(t)
	w.collector(peerAddr)
	group := t.TempDir()
	throttle := func(times string) {
		if err := os.WriteFile(filepath.Join(group, "cpu.stat"), []byte("nr_throttled "+times+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	throttle("7")
	tap, j, stop := w.tap(Config{VNI: 77, group: group})
	throttle("8")
	lab.Eventually(t, "it pauses", func() bool { return tap.Stats().Pauses == 1 })
	stop()
	if j.count(throttled) != 1 {
		t.Errorf("%d lines say why", j.count(throttled))
	}
}
