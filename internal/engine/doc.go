// Package engine carries the changes of a journal to one destination.
//
// It has two parts. The [Core] decides: it is told what happened ([Event]) and
// answers with what to do next ([Action]). There is no goroutine, clock, lock or
// randomness in it, so that a test can lead it through any course of events. The
// [Engine] acts: it reads the journal, routes, calls the driver, writes the ledger
// and tells the core how that ended.
//
// # What it promises
//
// The changes of a lane are applied in their order, one attempt at a time; a
// change goes only when its predecessor's outcome is settled: accepted by the
// destination, contained in a later change that was, or in the ledger as failed.
// A failed delivery is in the ledger before the cursor passes it. Memory is bounded
// by a window in bytes. An outage of the destination spends no record's attempts.
//
// # What it does not
//
// It does not make an attempt stop: a driver that ignores its context keeps its
// lanes and one of the destination's places until it returns. When the window is
// full, lanes that stand still give their payloads back, which are read again when
// they go on; that has a bound too, beyond which the destination waits. Which lanes
// are held is kept in memory, and is as much as the ledger has failures. Where lanes
// hold several records, sending a held lane again reads all failures of its target for
// each that goes.
//
// # Words
//
// A lane is parked while its payloads are given back. A run is what one delivery
// speaks for: one item, or at a state target all that the newest contains. Its parts
// are the items whose payload the delivery is made of. A bisection looks for the bad
// one of a batch.
//
// Retry puts replays into the journal. A restatement carries a record's present state in
// the place of what failed of it. A recall calls, when its turn in a lane comes, for the
// lane's failures in the ledger, one after the other. A success that closes failures is
// recorded before its lane goes on; whether there may be some is seen in memory.
//
// An item is one delivery on its way through the core. An entry is one change of
// the window, settled when its last item is. A shape is what one rule makes of one
// resource at a target, and what schema sync is asked for.
package engine
