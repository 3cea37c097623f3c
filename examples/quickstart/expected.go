package main

import (
	"encoding/json"

	"github.com/s3db-go/replicator"
)

// sent gives the change as the CRM must receive it, or false if it must not.
func sent(c replicator.Change) (received, bool, error) {
	for _, route := range crmRoutes() {
		if route.From != c.Resource || !route.ShouldReplicate(c) {
			continue
		}
		record, err := route.Transform(c)
		if err != nil {
			return received{}, false, err
		}
		out := received{Resource: route.To, RecordID: c.RecordID, Operation: c.Op}
		text, err := json.Marshal(record)
		if err == nil {
			err = json.Unmarshal(text, &out.Data) // to the types of JSON
		}
		return out, err == nil, err
	}
	return received{}, false, nil
}

// deliveries are the changes that the CRM must have received after these writes, each
// record's in their order.
func (w workload) deliveries(done counts) (map[key][]received, error) {
	out := make(map[key][]received)
	for writer, script := range w {
		for _, write := range script[:done[writer]] {
			change := replicator.Change{Op: write.op, Resource: write.resource, RecordID: write.id, Data: write.after}
			expected, wanted, err := sent(change)
			if err != nil {
				return nil, err
			}
			if wanted {
				out[expected.key()] = append(out[expected.key()], expected)
			}
		}
	}
	return out, nil
}

// throughRoutes gives what the CRM must hold of the shop's records.
func throughRoutes(shop contents) (contents, error) {
	out := contents{}
	for k, record := range shop {
		change := replicator.Change{Op: replicator.Updated, Resource: k.resource, RecordID: k.id, Data: record}
		expected, wanted, err := sent(change)
		if err != nil {
			return nil, err
		}
		if wanted {
			out[expected.key()] = expected.Data
		}
	}
	return out, nil
}

// latest gives what the CRM holds after these changes.
func latest(changes []received) contents {
	out := contents{}
	for _, c := range changes {
		out[c.key()] = c.Data
		if c.Operation == replicator.Deleted {
			delete(out, c.key())
		}
	}
	return out
}
