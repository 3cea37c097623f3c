package store

import "encoding/json"

// native is what a definition says beyond its attributes.
type native struct {
	Timestamps  bool                 `json:"timestamps,omitempty"`
	Behavior    string               `json:"behavior,omitempty"`
	Partitions  map[string]Partition `json:"partitions,omitempty"`
	IDSize      int                  `json:"idSize,omitempty"`
	IDGenerator string               `json:"idGenerator,omitempty"`
}

// native gives that as [cdc.Schema.Native] has it, "" if there is nothing.
func (d Definition) native() string {
	text, err := json.Marshal(native{d.Timestamps, d.Behavior, d.Partitions, d.IDSize, d.IDGenerator})
	if err != nil || string(text) == "{}" {
		return "" // text, numbers and booleans always have a form in JSON
	}
	return string(text)
}

// WithNative gives the definition of a copy: with everything beyond attributes as the
// Native of a schema says that [DB.Describe] gave, and with the partitions that are
// there besides. What is of another language changes nothing.
func (d Definition) WithNative(text string) Definition {
	var n native
	if text == "" || json.Unmarshal([]byte(text), &n) != nil {
		return d
	}
	d.Timestamps, d.Behavior, d.IDSize, d.IDGenerator = d.Timestamps || n.Timestamps, n.Behavior, n.IDSize, n.IDGenerator
	for name, p := range d.Partitions {
		if _, ok := n.Partitions[name]; !ok {
			if n.Partitions == nil {
				n.Partitions = make(map[string]Partition)
			}
			n.Partitions[name] = p
		}
	}
	d.Partitions = n.Partitions
	return d
}
