package ledger

import (
	"encoding/binary"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/codec"
)

// stamp gives a time as a number that sorts like it.
func stamp(t time.Time) uint64 { return uint64(t.UnixMicro()) ^ 1<<63 }

func timeOf(stamp uint64) time.Time { return time.UnixMicro(int64(stamp ^ 1<<63)).UTC() }

// Sizes of the fixed parts of keys and values.
const (
	groupLen  = 4
	stampLen  = 8
	changeLen = len(cdc.ID{})
	indexLen  = groupLen + stampLen + changeLen
	// headLen is the part of a row that its replacement needs: group, time, created
	// at.
	headLen = groupLen + 2*stampLen
)

// rowKey gives the key of a row in the bucket of rows.
func rowKey(destination, target string, change cdc.ID) []byte {
	return appendName(appendName(change[:changeLen:changeLen], destination), target)
}

// indexKey gives the key of a row in the index.
func indexKey(group uint32, stamp uint64, change cdc.ID) []byte {
	b := make([]byte, 0, indexLen+1)
	b = binary.BigEndian.AppendUint32(b, group)
	b = binary.BigEndian.AppendUint64(b, stamp)
	return append(b, change[:]...)
}

// indexValue gives what the index tells of a row: enough to select it, so that a query reads
// no row that it does not give.
func indexValue(r *Row) []byte {
	b := binary.AppendUvarint(make([]byte, 0, len(r.Change.RecordID)+2), uint64(max(r.RetryCount, 0))<<1|uint64(flags(r)))
	return append(b, r.Change.RecordID...)
}

// decodeIndex reads what indexValue gave. What can't be read is of no record.
func decodeIndex(value []byte) (retryCount int, onRoad bool, recordID []byte) {
	n, size := binary.Uvarint(value)
	if size <= 0 {
		return 0, false, nil
	}
	return int(n >> 1), n&willRetry != 0, value[size:]
}

// head is the part of a row's value with which it stands in the index.
type head struct {
	group         uint32
	time, created uint64
}

func (h head) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, h.group)
	b = binary.BigEndian.AppendUint64(b, h.time)
	return binary.BigEndian.AppendUint64(b, h.created)
}

func decodeHead(value []byte) (h head, body []byte, err error) {
	if len(value) < headLen {
		return head{}, nil, errDamaged
	}
	h.group = binary.BigEndian.Uint32(value)
	h.time = binary.BigEndian.Uint64(value[groupLen:])
	h.created = binary.BigEndian.Uint64(value[groupLen+stampLen:])
	return h, value[headLen:], nil
}

// appendBody writes what of a row is neither in its key, its head nor its group.
func appendBody(b []byte, r *Row) ([]byte, error) {
	b = appendName(b, r.Replicator)
	b = appendName(b, r.Driver)
	b = appendName(b, r.Error)
	b = binary.AppendVarint(b, int64(r.Attempts))
	b = binary.AppendVarint(b, int64(r.RetryCount))
	b = binary.AppendVarint(b, int64(flags(r)))
	b = binary.AppendVarint(b, int64(r.Duration))
	return codec.AppendChange(b, &r.Change)
}

// willRetry is the one flag of a row.
const willRetry = 1

func flags(r *Row) int {
	if r.WillRetry {
		return willRetry
	}
	return 0
}

// decodeRow reads a row of a group. The result shares no memory with value.
func decodeRow(g *group, key, value []byte, in *codec.Interner) (Row, error) {
	h, body, err := decodeHead(value)
	if err != nil {
		return Row{}, err
	}
	d := decoder{rest: body}
	r := Row{
		ID:          rowID(key),
		Destination: g.destination,
		Target:      g.target,
		Status:      g.status,
		Time:        timeOf(h.time),
		CreatedAt:   timeOf(h.created),
		Replicator:  d.name(),
		Driver:      d.name(),
		Error:       d.name(),
		Attempts:    int(d.varint()),
		RetryCount:  int(d.varint()),
		WillRetry:   d.varint()&willRetry != 0,
		Duration:    time.Duration(d.varint()),
	}
	if d.failed {
		return Row{}, errDamaged
	}
	if r.Change, err = codec.DecodeChange(d.rest, in); err != nil {
		return Row{}, errDamaged
	}
	return r, nil
}

const errDamaged = damage("a row can't be read")

// decoder reads names and numbers off the front of its bytes. After what can't be
// read it gives zero values.
type decoder struct {
	rest   []byte
	failed bool
}

func (d *decoder) name() string {
	n, size := binary.Uvarint(d.rest)
	if size <= 0 || n > uint64(len(d.rest)-size) {
		*d = decoder{failed: true}
		return ""
	}
	s := string(d.rest[size:][:n])
	d.rest = d.rest[size:][n:]
	return s
}

func (d *decoder) varint() int64 {
	n, size := binary.Varint(d.rest)
	if size <= 0 {
		*d = decoder{failed: true}
		return 0
	}
	d.rest = d.rest[size:]
	return n
}
