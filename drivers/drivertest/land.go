package drivertest

import (
	"fmt"
	"slices"
	"sync"

	"github.com/s3db-go/replicator/cdc"
)

func testLand(s *session) {
	s.open()
	steps := []cdc.Delivery{
		s.insert("u1", person("Ann")),
		s.insert("u2", person("Bob")),
		s.insert("u3", person("Cyd")),
		s.update("u2", person("Robert"), person("Bob")),
		s.remove("u3", person("Cyd")),
		s.insert("u3", person("Cyd again")),
		s.remove("u1", person("Ann")),
	}
	for i, step := range steps {
		s.mustApply(step)
		s.holds(target, steps[:i+1]...)
	}
}

func testLandInBatches(s *session) {
	s.open()
	// A full batch and a part of one, but not more than a slow destination takes in
	// a moment.
	n := min(s.limits(target).Items*3/2+3, 300)
	var inserts, mixed []cdc.Delivery
	for i := range n {
		inserts = append(inserts, s.insert(fmt.Sprintf("u%04d", i), person("Ann")))
	}
	s.mustApply(inserts...)
	s.holds(target, inserts...)
	for i := range n {
		switch id := inserts[i].RecordID; i % 3 {
		case 0:
			mixed = append(mixed, s.update(id, person("Anna"), person("Ann")))
		case 1:
			mixed = append(mixed, s.remove(id, person("Ann")))
		case 2:
			mixed = append(mixed, s.insert("new-"+id, person("Eve")))
		}
	}
	s.mustApply(mixed...)
	s.holds(target, slices.Concat(inserts, mixed)...)
}

// testReplayEqualsOnce repeats the last delivery, as after a timeout, and all of
// them in their order, as after a crash.
func testReplayEqualsOnce(s *session) {
	s.open()
	steps := []cdc.Delivery{
		s.insert("u1", person("Ann")),
		s.update("u1", person("Anna"), person("Ann")),
		s.insert("u2", person("Bob")),
		s.remove("u2", person("Bob")),
	}
	for _, step := range steps {
		s.mustApply(step)
		s.mustApply(step)
	}
	s.holds(target, steps...)
	for _, step := range steps {
		s.mustApply(step)
	}
	s.holds(target, steps...)
}

func testDeleteOfAbsent(s *session) {
	s.open()
	removal := s.remove("nobody", person("Nemo"))
	s.mustApply(removal)
	unknown := s.remove("nobody-2", nil) // the last state is not known
	s.mustApply(unknown)
	s.holds(target, removal, unknown)
}

func testUpdateOfAbsentInserts(s *session) {
	s.open()
	update := s.update("u1", person("Anna"), person("Ann"))
	s.mustApply(update)
	s.holds(target, update)
}

func testKeyChange(s *session) {
	s.open()
	neighbour := s.insert("u2", person("Bob"))
	insert := s.insert("u1", person("Ann"))
	moved := s.update("u9", person("Ann"), nil)
	moved.OldKey, moved.Before = insert.Key, insert.Record
	steps := []cdc.Delivery{neighbour, insert, moved}
	for _, step := range steps {
		s.mustApply(step)
	}
	s.holds(target, steps...)
	s.mustApply(moved)
	s.holds(target, steps...)
}

// testOneKeyTwiceInOrder is only for targets that say they apply a batch in
// order. No other ever gets two deliveries of one key in a batch.
func testOneKeyTwiceInOrder(s *session) {
	if !s.limits(target).Ordered {
		return
	}
	s.open()
	steps := []cdc.Delivery{
		s.insert("u1", person("Ann")),
		s.insert("u2", person("Bob")),
		s.update("u1", person("Anna"), person("Ann")),
		s.remove("u2", person("Bob")),
	}
	s.mustApply(steps...)
	s.holds(target, steps...)
}

// testUnknownTarget sends to a target that no option of the driver names: the zero
// value of whatever can be chosen per target works.
func testUnknownTarget(s *session) {
	s.open()
	s.sync(otherTarget, cdc.Schema{Resource: target, Version: 1, Key: []string{"id"}, Open: true})
	insert := s.insert("u1", person("Ann"))
	insert.Target = otherTarget
	update := s.update("u1", person("Anna"), person("Ann"))
	update.Target = otherTarget
	remove := s.remove("u1", person("Anna"))
	remove.Target = otherTarget
	steps := []cdc.Delivery{insert, update, remove}
	for i, step := range steps {
		s.mustApply(step)
		s.holds(otherTarget, steps[:i+1]...)
	}
}

// testConcurrentBatches runs as many batches at a time as the limits allow, with
// disjoint records and a field that is new at the destination.
func testConcurrentBatches(s *session) {
	s.open(cdc.Schema{Resource: target, Version: 1, Key: []string{"id"}, Open: true})
	limits := s.limits(target)
	const rounds = 4
	batches := make([][]cdc.Delivery, limits.Concurrency)
	for i := range batches {
		for round := range rounds {
			for j := range min(limits.Items, 10) {
				fields := person("Ann")
				fields[fmt.Sprintf("extra%d", (i+round)%7)] = int64(round)
				batches[i] = append(batches[i], s.insert(fmt.Sprintf("u%d-%d-%d", i, round, j), fields))
			}
		}
	}
	var wg sync.WaitGroup
	for _, batch := range batches {
		wg.Go(func() {
			for part := range slices.Chunk(batch, len(batch)/rounds) {
				for i, err := range s.apply(s.t.Context(), part...) {
					if err != nil {
						s.t.Errorf("Apply of %s: %v", part[i].Change, err)
					}
				}
			}
		})
	}
	wg.Wait()
	s.holds(target, slices.Concat(batches...)...)
}
