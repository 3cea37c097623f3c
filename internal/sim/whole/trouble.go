package whole

import (
	"fmt"
	"time"
)

// end is how a life of the process ends.
type end struct {
	how   how
	after time.Duration
	atOp  int // of the disk, 0 if it ends by the clock
}

type how uint8

const (
	lasting how = iota // it does not
	killed
	powerLost
	stopped
)

func (h how) String() string {
	return [...]string{"lasting", "killed", "the power is lost", "stopped"}[h]
}

func (e end) String() string {
	switch {
	case e.how == lasting:
		return "for good"
	case e.atOp > 0:
		return fmt.Sprintf("%v at operation %d of the disk", e.how, e.atOp)
	}
	return fmt.Sprintf("%v after %v", e.how, e.after)
}

// endOf plans the end of a life.
func (w *world) endOf(life int) end {
	r := w.dice(fmt.Sprint("end ", life))
	if w.hurt {
		// Whether the next process relies on what the last one could not write shows when
		// the power is lost soon.
		w.hurt = false
		if r.IntN(2) == 0 {
			return end{how: powerLost, atOp: 1 + r.IntN(80)}
		}
	}
	if life > w.Lives || time.Now().After(w.healthy) {
		return end{}
	}
	e := end{how: how(1 + r.IntN(3)), after: time.Duration(r.Int64N(int64(w.Spread)))}
	if e.how != stopped && r.IntN(2) == 0 {
		e.atOp = 1 + r.IntN(20+r.IntN(400))
	}
	return e
}

// trouble plans what befalls the disk in this life.
func (p *process) trouble() {
	w := p.w
	if p.end.atOp > 0 {
		p.disk.CrashAt(p.end.atOp)
	}
	r := w.dice(fmt.Sprint("trouble ", p.life))
	cured := time.Until(w.healthy)
	if cured <= 0 {
		p.disk.Bound(0)
		return
	}
	for range w.Broken {
		first := 1 + r.IntN(20+r.IntN(400))
		after := time.Duration(r.Int64N(int64(w.Spread)))
		last := first + r.IntN(4)
		flush := r.IntN(2) == 0
		p.at(after, func() {
			if flush {
				w.say("the disk will fail in the flush after %d others", first%30)
				p.disk.FailFlush(1 + first%30)
				return
			}
			w.say("the disk will fail from operation %d to %d", first, last)
			p.disk.Fail(first, last)
		})
	}
	for range w.Full {
		from := time.Duration(r.Int64N(int64(w.Spread)))
		lasts := time.Duration(r.Int64N(int64(w.Spread)))
		room := r.IntN(int(2 * w.Segment))
		p.at(from, func() {
			w.say("the disk is full but for %d bytes", room)
			p.disk.Fill(room)
		})
		p.at(from+lasts, func() {
			w.say("the disk has room")
			p.disk.Bound(0)
		})
	}
	p.at(cured, func() {
		p.disk.Bound(0)
		p.disk.Fail(0, 0)
		p.disk.FailFlush(0)
		p.disk.CrashAt(1 << 40)
	})
}

// afterFlush: a flush failed, and often that is not the last of it.
func (p *process) afterFlush() {
	r := p.w.draw("flush")
	if r.IntN(2) == 0 {
		return
	}
	p.at(time.Duration(r.Int64N(int64(20*time.Millisecond))), func() { p.die("the power is lost after a flush that failed", powerLost) })
}

// at does something after a while, if the process lives.
func (p *process) at(d time.Duration, do func()) {
	time.AfterFunc(d, func() {
		select {
		case <-p.quit:
		case <-p.dead:
		default:
			do()
		}
	})
}
