package engine

import (
	"slices"
	"sync"
	"time"
)

// turn says who decides. The core has no goroutine of its own: whoever has something to
// tell it takes the turn, if nobody has it, and otherwise leaves that to who has. So the
// end of an attempt is decided on, and the next one made, by the goroutine that made it.
// With one for the core alone, two changes of goroutine for every attempt cost more than
// all that the core does.
type turn struct {
	mu    sync.Mutex // guards what follows
	taken bool
	news  queue[news]
}

// news is what the core is to be told.
type news struct {
	event Event
	call  bool // that it is how a call ended
}

// take leaves news to be decided on, and reports whether the caller has to do that.
func (t *turn) take(n news) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.news.push(n)
	if t.taken {
		return false
	}
	t.taken = true
	return true
}

// next gives what is to be decided on. If there is nothing the turn is free.
func (t *turn) next() (n news, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.news.len() == 0 {
		t.taken = false
		return news{}, false
	}
	return t.news.pop(), true
}

// decide tells the core all that there is to tell, and does what it asks for. The caller
// has the turn. What it gives is a call to be done by the caller itself; nil if there is
// none.
func (e *Engine) decide() (kept func() Event) {
	for {
		n, ok := e.turn.next()
		if !ok {
			return kept
		}
		if kept != nil {
			e.hand(kept) // it shall not wait for what follows
		}
		e.step(n)
		kept, e.kept = e.kept, nil
		if e.abandoned || e.halted && e.pending == 0 && e.quiet() {
			close(e.done)
			close(e.calls)
			return nil // with the turn, which nobody has any more
		}
	}
}

// watch brings what no call brings: that a time has come, and Stop. It leaves the deciding
// to others, since under load whoever begins with it may not come to an end.
func (e *Engine) watch() {
	defer e.timer.Stop()
	for halt := e.halt; ; {
		var event Event
		select {
		case <-e.timer.C:
			event = Tick{}
		case <-halt:
			halt, event = nil, Halt{}
		case <-e.abandon:
			event = nil
		case <-e.done:
			return
		}
		if e.turn.take(news{event: event}) {
			e.hand(nil)
		}
		if event == nil {
			return
		}
	}
}

// step tells the core one thing and does what it asks for. No event means that nobody
// waits any more.
func (e *Engine) step(n news) {
	now := time.Now()
	defer e.pulse.begin(deciding, now)()
	var more <-chan struct{}
	switch event := n.event.(type) {
	case nil:
		e.abandoned = true
		return
	case Halt:
		e.halted = true
	case Loaded:
		if event.CaughtUp {
			more = e.source.reader.More() // before the core lends it to a load
		}
	}
	if n.call {
		e.pending--
	}
	for _, a := range e.ask(now, n.event, more != nil) {
		e.perform(a)
	}
	if more != nil {
		e.async(func() Event {
			select {
			case <-more:
			case <-e.halt:
			}
			return More{}
		})
	}
}

// ask gives what the core says to an event, and notes how far that brings those who wait.
func (e *Engine) ask(now time.Time, event Event, caughtUp bool) []Action {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, more := event.(More); more {
		e.behind = now
	} else if caughtUp {
		e.behind = time.Time{}
	}
	actions := e.core.Step(now, event)
	low := e.core.Low()
	e.waiters = slices.DeleteFunc(e.waiters, func(w waiter) bool {
		if low >= w.seq {
			close(w.done)
		}
		return low >= w.seq
	})
	return actions
}

func (e *Engine) quiet() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.core.Quiet()
}
