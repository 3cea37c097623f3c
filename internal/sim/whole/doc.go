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
// # The rules of flushes
//
// What was announced before the last flush that succeeded began is never lost, whatever
// Sync says. With SyncAlways nothing else is; with an interval nothing that was announced
// longer ago than that, and than a flush takes, waits for a flush. A process that is killed
// loses nothing: what it had not flushed is lost only if the power goes before the next one
// has opened the journal. What is left is a prefix. Its numbers go on behind it, with later
// versions than those that were lost; no cursor and no backfill is ahead of it; and what
// failed and stands in the log keeps its lane closed, although the journal has it no more.
//
// # The rules of schemas
//
// A record reaches a target that has a shape only after that was given the fields of the
// version which the record follows, in this life or a former one; also if the source has
// left those fields behind since. A version that the journal took comes to every target that
// was there by then, whether a record follows it or not, and whether the source told of it
// or the next process found it.
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
