package codec

import "github.com/s3db-go/replicator/cdc"

// InternedNames counts what the table holds, which nothing else can see.
func InternedNames(in *Interner) int { return len(in.names) }

// recordV1 is a form that only tests write: the fields of a record and nothing around
// them, so that the bytes of each value can be seen alone.
const recordV1 = 0x21

// AppendRecord does for a record what AppendChange does for a change.
func AppendRecord(dst []byte, r cdc.Record) ([]byte, error) {
	return appendFields(append(dst, recordV1), r, 0)
}

// DecodeRecord reads what AppendRecord wrote, on the terms of DecodeChange.
func DecodeRecord(b []byte, in *Interner) (cdc.Record, error) {
	d := decoder{b: b, in: in}
	d.expect(recordV1)
	r := d.fields(0)
	if err := d.finish(); err != nil {
		return nil, err
	}
	return r, nil
}
