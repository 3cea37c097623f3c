// Package sim leads the engine's core through random courses of events and checks
// after each step that the promises hold. One goroutine, one source of randomness,
// no real time: a seed is a run, and a run that fails can be repeated from its seed.
//
// A world has a journal that grows, a destination that fails in every way that its
// contract allows, a ledger and a cursor that are slow to become durable, and a
// process that crashes, stops and starts. The checks don't know how the core works:
// they follow what the destination accepted, what became durable, and what the core
// claims.
//
// Package whole, below this one, leads the whole library above the drivers through
// worlds of its own; the tests here run both. This one takes milliseconds less for each
// world, and has keys that move between records, schemas, and limits of every kind; that
// one finds what goes wrong between the parts.
package sim
