package store

import (
	"encoding/json"
	"errors"
	"strconv"
)

// nodeBuffer is bytes as Node.js writes a Buffer to JSON:
// {"type":"Buffer","data":[104,105]}.
type nodeBuffer []byte

var errNotBuffer = errors.New("body is not a list of bytes")

// MarshalJSON writes the list without blanks; it is long enough.
func (b nodeBuffer) MarshalJSON() ([]byte, error) {
	out := make([]byte, 0, 32+4*len(b))
	out = append(out, `{"type":"Buffer","data":[`...)
	for i, c := range b {
		if i > 0 {
			out = append(out, ',')
		}
		out = strconv.AppendUint(out, uint64(c), 10)
	}
	return append(out, "]}"...), nil
}

// UnmarshalJSON also takes null, which is no bytes.
func (b *nodeBuffer) UnmarshalJSON(text []byte) error {
	var buffer struct {
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(text, &buffer); err != nil {
		return err
	}
	data, err := parseBytes(buffer.Data)
	*b = data
	return err
}

// parseBytes reads a JSON list of small numbers. By hand: package json takes many
// times as long for a list of a million.
func parseBytes(list []byte) ([]byte, error) {
	var out []byte
	n, digits := 0, false
	for _, c := range list {
		switch {
		case c >= '0' && c <= '9':
			if n, digits = n*10+int(c-'0'), true; n > 255 {
				return nil, errNotBuffer
			}
		case c == ',' || c == ']':
			if digits {
				out = append(out, byte(n))
			}
			n, digits = 0, false
		case c != '[' && c != ' ' && c != '\n' && c != '\r' && c != '\t':
			return nil, errNotBuffer
		}
	}
	return out, nil
}
