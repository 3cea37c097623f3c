package engine

import (
	"crypto/rand"
	"strconv"
	"time"

	"github.com/s3db-go/replicator/cdc"
)

// replay is what Retry puts into the journal, for one destination: a change of Origin
// Replayed, whose Data says what it is for. Either it restates a record, and has its
// present state; or it calls for the failures of some lanes, which stay in the ledger.
type replay struct {
	target string
	lanes  []string   // of a recall
	change cdc.Change // of a restatement: what is to be delivered
	former []former   // of a restatement, see [Engine.steps]
}

// former is a state that a change was to end that failed, so that the target may have
// it still.
type former struct {
	state   cdc.Record
	version uint64 // of the change
}

// The fields of a replay's Data. A restatement has no lanes, and no state if the record is
// gone. Its former states have a field each, with their number, so that they lie no deeper
// than the present one.
const (
	replayTarget   = "target"
	replayLanes    = "lanes"
	replayState    = "state"
	replayFormer   = "former "
	replayVersions = "versions"
)

// journaled gives what the journal gets for a restatement.
func (p *replay) journaled() cdc.Change {
	change := p.change
	data := cdc.Record{replayTarget: p.target}
	if change.Op != cdc.Deleted {
		data[replayState] = map[string]any(change.Data)
	}
	versions := make([]any, len(p.former))
	for i, f := range p.former {
		data[replayFormer+strconv.Itoa(i)] = map[string]any(f.state)
		versions[i] = int64(f.version)
	}
	data[replayVersions] = versions
	change.Data = data
	return change
}

// recall gives what the journal gets for the failures of some lanes, to which a change
// belongs.
func recall(target string, lanes []string, of *cdc.Change) cdc.Change {
	change := replayed(of.Op, of.RecordKey())
	names := make([]any, len(lanes))
	for i, name := range lanes {
		names[i] = name
	}
	change.Data = cdc.Record{replayTarget: target, replayLanes: names}
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

// parseReplay reads what journaled and recall gave.
func parseReplay(c *cdc.Change) replay {
	p := replay{target: c.Data.String(replayTarget)}
	names, _ := c.Data[replayLanes].([]any)
	for _, name := range names {
		if name, ok := name.(string); ok {
			p.lanes = append(p.lanes, name)
		}
	}
	if !p.restates() {
		return p
	}
	versions, _ := c.Data[replayVersions].([]any)
	for i, v := range versions {
		version, _ := v.(int64)
		state, _ := c.Data[replayFormer+strconv.Itoa(i)].(map[string]any)
		p.former = append(p.former, former{state, uint64(version)})
	}
	p.change = *c
	state, _ := c.Data[replayState].(map[string]any)
	p.change.Data = state
	return p
}

func (p *replay) restates() bool { return len(p.lanes) == 0 }
