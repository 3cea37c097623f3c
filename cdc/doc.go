// Package cdc is the contract between a resource store, the replicator and its
// drivers. It imports only the standard library, so that a source or a driver
// can be written against it without pulling in anything else.
//
// # Words
//
// A record is a resource's item. A [Change] is what happened to a record. A
// [Source] announces changes to a [Recorder] before it applies them, and says
// afterwards how each [Pending] change ended. A [Delivery] is one change for one
// target, as a route shaped it. A [Driver] applies deliveries at a destination.
//
// # Abilities
//
// Source and Driver are small on purpose. Whatever more an implementation can do,
// it shows by implementing further interfaces:
//
//   - a source: [Reader], [Describer], [Scanner], [Lister], [Awaiter], [LogHost],
//     [Validator]
//   - a driver: [Validator], [Opener], [Limited], [SchemaSyncer], [Checker], [Hosted],
//     [io.Closer]
//
// # Errors
//
// An error of a driver carries the decision what to do next: [Permanent],
// [Unavailable], [Gone], [RetryAfter], [BatchError]; any other error is transient.
package cdc
