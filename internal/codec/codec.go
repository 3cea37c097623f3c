// Package codec writes a change as bytes and reads it back, exactly: every value
// of the closed list that [cdc.Normalize] describes comes back with its type and
// its value, floats bit for bit, decimals with their scale. The package is pure
// and keeps no state.
//
// What is written can be read for ever. The first byte names what follows and
// the version of its form; a new form gets a new first byte, and the old one
// stays readable. The bytes of a map are in no particular order, so equal changes
// may differ in their bytes. There is no checksum: whoever stores the bytes adds
// one.
//
// Reading is safe on any input. It never panics, refuses what is left over behind
// the end, and allocates memory in proportion to the input, whatever lengths the
// input claims: every element that is claimed costs at least a byte of it.
//
// # Form
//
// Numbers are in the variable-length form of encoding/binary: uvarint is
// unsigned, varint is signed (zigzag).
//
//	change  0x11
//	        op             1 byte: 1 inserted, 2 updated, 4 deleted
//	        origin         1 byte: 0 live, 1 snapshot, 2 resolved, 3 replayed
//	        change id      16 bytes
//	        seq            uvarint
//	        version        uvarint
//	        time           time
//	        schema version varint
//	        resource       text
//	        record id      text
//	        trace          text
//	        data           fields
//	        before         fields
//
//	text    uvarint length in bytes, the bytes
//	time    varint seconds since 1970 UTC, uvarint microseconds below 1,000,000
//	fields  uvarint: 0 if nil, else 1 + the number of fields;
//	        for each a text (the name) and a value; no name occurs twice
//
//	value   a tag of 1 byte and its content:
//	        0x00  nil
//	        0x01  false
//	        0x02  true
//	        0x03  int64           varint
//	        0x04  float64         8 bytes, IEEE 754, little endian
//	        0x05  decimal         text, digits as Decimal.String gives them
//	        0x06  string          text
//	        0x07  []byte          uvarint: 0 if nil, else 1 + length; the bytes
//	        0x08  time.Time       time
//	        0x09  []any           uvarint: 0 if nil, else 1 + length; the values
//	        0x0a  map[string]any  fields
//
// Arrays and maps may be nested up to [cdc.MaxDepth].
package codec

// changeV1 is the first byte: the upper half says what follows, the lower half in which
// version.
const changeV1 = 0x11

// The tags of values.
const (
	tagNil     = 0x00
	tagFalse   = 0x01
	tagTrue    = 0x02
	tagInt     = 0x03
	tagFloat   = 0x04
	tagDecimal = 0x05
	tagString  = 0x06
	tagBytes   = 0x07
	tagTime    = 0x08
	tagArray   = 0x09
	tagMap     = 0x0a
)
