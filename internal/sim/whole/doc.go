// Package whole runs the whole library above the drivers in virtual time, with a
// source, destinations and a disk that fail in every way that they may, and checks the
// promises from outside.
//
// # What is real and what is simulated
//
// Real: the journal with its writer, recovery and trimming, the capture of writes with
// doubts and second looks, backfills, routes, the engines with their shells, the hub,
// and the log in its bbolt file. They are put together here in the order in which the
// root does it.
//
// Simulated: the application and its store, the drivers and what is behind them, and
// the disk under the journal and the backfills. That disk loses power at any operation,
// with any part of what was not flushed; it fails for a while, also in a flush, which it
// then believes to be done; it is full. A process is killed between any two operations,
// or stopped. What the log is given it has or has not when the process ends, at once:
// bbolt's own transactions are held by tests in internal/ledger.
//
// # How a seed is a run
//
// A world runs in a bubble of testing/synctest. Whatever leaves the house takes a
// random time in nanoseconds, so that one goroutine at a time wakes up, runs until it
// waits again, and time goes on to the next. The order of events is thereby chosen by
// the seed. Each random choice is made from the seed, the name of who makes it, and how
// often it has made one, so that a goroutine more or less changes no other's choices.
// What is left to the Go runtime is the order of those that one event wakes at once, and
// of ready cases of a select: the same seed nearly always gives the same run.
//
// Nothing of the disk takes time while a mutex is held, since a goroutine that waits for
// a mutex is not blocked as virtual time sees it: files other than the journal's segments
// are written at once.
package whole
