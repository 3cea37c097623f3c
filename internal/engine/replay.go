package engine

import (
	"crypto/rand"
	"time"

	"github.com/s3db-go/replicator/cdc"
)

// replay is what Retry puts into the journal, for one destination: a change of Origin
// Replayed, whose Data says what it is for. Either it restates a record, and has its
// present state; or it calls for the failures of a lane, which stay in the ledger.
type replay struct {
	target string
	lane   string     // of a recall
	change cdc.Change // of a restatement: what is to be delivered
}

// The fields of a replay's Data. A restatement has no lane, and no state if there never
// was one that is known.
const (
	replayTarget = "target"
	replayLane   = "lane"
	replayState  = "state"
)

// restatement gives what the journal gets for a record's present state, or for a delete
// its last known one.
func restatement(target string, change cdc.Change) cdc.Change {
	data := cdc.Record{replayTarget: target}
	if change.Data != nil {
		data[replayState] = map[string]any(change.Data)
	}
	change.Data = data
	return change
}

// recall gives what the journal gets for the failures of a lane. The row is one of them.
func recall(target, lane string, of *cdc.Change) cdc.Change {
	change := replayed(of.Op, of.RecordKey())
	change.Data = cdc.Record{replayTarget: target, replayLane: lane}
	return change
}

// replayed gives a change with an id of its own.
func replayed(op cdc.Op, record cdc.Key) cdc.Change {
	c := cdc.Change{Op: op, Resource: record.Resource, RecordID: record.RecordID, Origin: cdc.Replayed, Time: time.Now().UTC().Truncate(time.Microsecond)}
	rand.Read(c.ChangeID[:])
	c.ChangeID[6] = 8<<4 | c.ChangeID[6]&0x0f // a UUIDv8: made by a rule of one's own
	c.ChangeID[8] = 2<<6 | c.ChangeID[8]&0x3f
	return c
}

// parseReplay reads what restatement and recall gave.
func parseReplay(c *cdc.Change) replay {
	p := replay{target: c.Data.String(replayTarget), lane: c.Data.String(replayLane)}
	if p.restates() {
		p.change = *c
		state, _ := c.Data[replayState].(map[string]any)
		p.change.Data = state
	}
	return p
}

func (p *replay) restates() bool { return p.lane == "" }
