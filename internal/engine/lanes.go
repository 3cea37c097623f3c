package engine

import (
	"hash/maphash"
	"iter"
	"maps"
)

// lanes are those of one target, by their keys. Those whose head waits for a timer lie
// apart: tens of thousands of them would make every look-up of the others one into a
// large map. Whether a key may be among them is seen in a few bytes.
type lanes struct {
	moving  map[string]*lane
	waiting map[string]*lane
	most    int     // how many were moving at once; a map keeps its size
	marks   []uint8 // how many waiting lanes have each hash; a count that is full stays so
	seed    maphash.Seed
}

// laneMarks is a power of two whose bytes stay in the processor's second cache. With
// 50,000 lanes waiting, one look-up of five is in vain.
const laneMarks = 1 << 18

// fewLanes are so few that their map is small whatever it was.
const fewLanes = 4096

func newLanes(seed maphash.Seed) lanes {
	return lanes{moving: map[string]*lane{}, waiting: map[string]*lane{}, seed: seed}
}

func (s *lanes) mark(key string) *uint8 {
	if s.marks == nil {
		s.marks = make([]uint8, laneMarks)
	}
	return &s.marks[maphash.String(s.seed, key)%laneMarks]
}

func (s *lanes) find(key string) *lane {
	if l := s.moving[key]; l != nil || len(s.waiting) == 0 || *s.mark(key) == 0 {
		return l
	}
	return s.waiting[key]
}

func (s *lanes) put(l *lane) {
	s.moving[l.key] = l
	s.most = max(s.most, len(s.moving))
}

func (s *lanes) drop(l *lane) {
	s.wake(l)
	delete(s.moving, l.key)
}

// wait puts a lane apart, and wake brings it back.
func (s *lanes) wait(l *lane) {
	if l.waits {
		return
	}
	l.waits = true
	delete(s.moving, l.key)
	if s.most > fewLanes && len(s.moving) < s.most/8 {
		s.moving = maps.Collect(maps.All(s.moving)) // Clone would keep the size
		s.most = len(s.moving)
	}
	s.waiting[l.key] = l
	if m := s.mark(l.key); *m < 255 {
		*m++
	}
}

func (s *lanes) wake(l *lane) {
	if !l.waits {
		return
	}
	l.waits = false
	delete(s.waiting, l.key)
	s.put(l)
	if m := s.mark(l.key); *m < 255 {
		*m--
	}
}

func (s *lanes) all() iter.Seq[*lane] {
	return func(yield func(*lane) bool) {
		for _, some := range [...]map[string]*lane{s.moving, s.waiting} {
			for _, l := range some {
				if !yield(l) {
					return
				}
			}
		}
	}
}
