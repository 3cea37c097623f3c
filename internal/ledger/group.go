package ledger

import (
	"encoding/binary"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// group is a set of rows that no filter but time and record id can tell apart.
type group struct {
	number                        uint32
	status                        Status
	destination, target, resource string
}

func groupOf(r *Row) group {
	return group{status: r.Status, destination: r.Destination, target: r.Target, resource: r.Change.Resource}
}

// selected reports whether the query wants rows of the group.
func (g *group) selected(q *Query) bool {
	return (q.Status == "" || q.Status == g.status) && (!q.GivenUp || g.status.failure()) &&
		(q.Destination == "" || q.Destination == g.destination) &&
		(q.Target == "" || q.Target == g.target) &&
		(q.Resource == "" || q.Resource == g.resource)
}

// key gives the group's key in the bucket of groups.
func (g *group) key() []byte {
	var b []byte
	for _, name := range [...]string{string(g.status), g.destination, g.target, g.resource} {
		b = appendName(b, name)
	}
	return b
}

// groupsFor gives the groups that the query selects.
func groupsFor(tx *bolt.Tx, q *Query) ([]group, error) {
	return groupsWith(tx, func(g *group) bool { return g.selected(q) })
}

// groupsByNumber gives all groups.
func groupsByNumber(tx *bolt.Tx) (map[uint32]group, error) {
	all, err := groupsWith(tx, func(*group) bool { return true })
	by := make(map[uint32]group, len(all))
	for _, g := range all {
		by[g.number] = g
	}
	return by, err
}

func groupsWith(tx *bolt.Tx, wanted func(*group) bool) ([]group, error) {
	var found []group
	err := tx.Bucket(groupsBucket).ForEach(func(k, v []byte) error {
		d := decoder{rest: k}
		g := group{status: Status(d.name()), destination: d.name(), target: d.name(), resource: d.name()}
		if d.failed || len(d.rest) > 0 || len(v) != 4 {
			return damage("a group can't be read")
		}
		g.number = binary.BigEndian.Uint32(v)
		if wanted(&g) {
			found = append(found, g)
		}
		return nil
	})
	return found, err
}

// findNumber sets the group's number, the next one if the group is new.
func (g *group) findNumber(groups *bolt.Bucket) error {
	key := g.key()
	if v := groups.Get(key); v != nil {
		if len(v) != groupLen {
			return damage("a group can't be read")
		}
		g.number = binary.BigEndian.Uint32(v)
		return nil
	}
	next, err := groups.NextSequence()
	if err != nil {
		return err
	}
	g.number = uint32(next)
	return groups.Put(key, binary.BigEndian.AppendUint32(nil, g.number))
}

func appendName(b []byte, name string) []byte {
	b = binary.AppendUvarint(slices.Grow(b, len(name)+binary.MaxVarintLen16), uint64(len(name)))
	return append(b, name...)
}
