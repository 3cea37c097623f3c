package replicator

import (
	"sync"
	"time"
)

const (
	// From progressAfter on it is told every progressEvery how far something is: what takes
	// less is over before anybody asks.
	progressAfter = 2 * time.Second
	progressEvery = time.Second
)

// progress calls tell while something goes on for long. end stops that, and reports
// whether there was anything to tell.
func progress(tell func()) (end func() (told bool)) {
	told, over := false, make(chan struct{})
	var teller sync.WaitGroup
	teller.Go(func() {
		timer := time.NewTimer(progressAfter)
		defer timer.Stop()
		for {
			select {
			case <-over:
				return
			case <-timer.C:
			}
			told = true
			tell()
			timer.Reset(progressEvery)
		}
	})
	return func() bool {
		close(over)
		teller.Wait()
		return told
	}
}

// tellDrain tells how much each destination still has to settle, until it is done.
func (r *Replicator) tellDrain(run *running) (end func(error)) {
	begun := map[string]bool{} // belongs to the teller until end
	tell := func(done bool) {
		for _, d := range run.all() {
			s := d.stats()
			if s.Paused != nil || s.Waiting == 0 && !begun[d.Name] {
				continue
			}
			begun[d.Name] = s.Waiting > 0
			r.hub.Publish(Event{Kind: DrainProgress, Time: time.Now(), Destination: d.Name, Waiting: s.Waiting, Done: done || s.Waiting == 0})
		}
	}
	stop := progress(func() { tell(false) })
	return func(err error) {
		if stop() && err == nil {
			tell(true)
		}
	}
}

// recovery tells what a Start that takes long is about.
type recovery struct {
	end func()

	mu   sync.Mutex // guards step
	step string
}

func (r *Replicator) tellRecovery() *recovery {
	rec := &recovery{}
	publish := func(done bool) {
		rec.mu.Lock()
		step := rec.step
		rec.mu.Unlock()
		r.hub.Publish(Event{Kind: RecoveryProgress, Time: time.Now(), Reason: step, Done: done})
	}
	stop := progress(func() { publish(false) })
	rec.end = func() {
		if stop() {
			publish(true)
		}
	}
	return rec
}

// at notes what is being done now.
func (rec *recovery) at(step string) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.step = step
}
