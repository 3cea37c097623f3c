package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/disk"
)

// Cursors are one file each in cursorDir. The content is the name's length (u32),
// the name, Low, and First and Last of every range (u64). If changes are settled in
// part, 16 zero bytes follow, which are no range, and for each change Seq (u64), the
// number of targets (u32), and each target's length (u32) and name. The cursor's name
// stands in it so that a file that was copied or renamed is not taken for another's.
const (
	cursorDir    = "cursors"
	cursorPrefix = "cursor-" // keeps names that a system reserves (con, nul) apart
	cursorMagic  = "RPLCCURS"
)

// cursorPath is the file of a name. Only what every file system keeps apart stays
// as it is; upper case is escaped because some fold it.
func cursorPath(name string) string {
	var b strings.Builder
	for _, c := range []byte(name) {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return path.Join(cursorDir, cursorPrefix+b.String())
}

// highest is the highest Seq that a cursor speaks of.
func (c Cursor) highest() uint64 {
	highest := c.Low
	if n := len(c.Ranges); n > 0 {
		highest = c.Ranges[n-1].Last
	}
	if n := len(c.Partial); n > 0 {
		highest = max(highest, c.Partial[n-1].Seq)
	}
	return highest
}

// validate judges the form: ranges sorted, apart, and above Low+1; parts sorted, above
// Low, and each with a target.
func (c Cursor) validate() error {
	last := c.Low
	for _, r := range c.Ranges {
		if r.First <= last+1 || r.Last < r.First {
			return fmt.Errorf("journal: cursor: range %d-%d after %d", r.First, r.Last, last)
		}
		last = r.Last
	}
	last = c.Low
	for _, p := range c.Partial {
		if p.Seq <= last || len(p.Targets) == 0 {
			return fmt.Errorf("journal: cursor: %d targets of %d after %d", len(p.Targets), p.Seq, last)
		}
		last = p.Seq
	}
	return nil
}

func (c Cursor) clone() Cursor {
	c.Ranges = slices.Clone(c.Ranges)
	c.Partial = slices.Clone(c.Partial)
	for i := range c.Partial {
		c.Partial[i].Targets = slices.Clone(c.Partial[i].Targets)
	}
	return c
}

func (c Cursor) encode(name string) []byte {
	b := appendText(nil, name)
	b = binary.LittleEndian.AppendUint64(b, c.Low)
	for _, r := range c.Ranges {
		b = binary.LittleEndian.AppendUint64(b, r.First)
		b = binary.LittleEndian.AppendUint64(b, r.Last)
	}
	if len(c.Partial) > 0 {
		b = append(b, make([]byte, rangeSize)...)
	}
	for _, p := range c.Partial {
		b = binary.LittleEndian.AppendUint64(b, p.Seq)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(p.Targets)))
		for _, t := range p.Targets {
			b = appendText(b, t)
		}
	}
	return b
}

// rangeSize is what a range takes.
const rangeSize = 16

func appendText(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(s))), s...)
}

var errCursor = errors.New("its content makes no sense")

func decodeCursor(b []byte) (name string, c Cursor, err error) {
	name, b, ok := cutText(b)
	if !ok || len(b) < 8 {
		return "", c, errCursor
	}
	c.Low = binary.LittleEndian.Uint64(b)
	parts := false
	for b = b[8:]; len(b) >= rangeSize && !parts; b = b[rangeSize:] {
		r := Range{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])}
		if parts = r == (Range{}); !parts {
			c.Ranges = append(c.Ranges, r)
		}
	}
	if parts == (len(b) == 0) {
		return "", c, errCursor
	}
	for len(b) > 0 {
		if len(b) < 12 {
			return "", c, errCursor
		}
		p := Part{Seq: binary.LittleEndian.Uint64(b)}
		n := binary.LittleEndian.Uint32(b[8:])
		b = b[12:]
		for range n {
			var target string
			if target, b, ok = cutText(b); !ok {
				return "", c, errCursor
			}
			p.Targets = append(p.Targets, target)
		}
		c.Partial = append(c.Partial, p)
	}
	return name, c, c.validate()
}

// cutText takes off what appendText put before the rest.
func cutText(b []byte) (text string, rest []byte, ok bool) {
	if len(b) < 4 {
		return "", nil, false
	}
	n := binary.LittleEndian.Uint32(b)
	b = b[4:]
	if uint64(n) > uint64(len(b)) {
		return "", nil, false
	}
	return string(b[:n]), b[n:], true
}

// readCursors reads all cursors and gives the leftovers of unfinished writes, which
// may be removed.
func readCursors(fsys vault) (cursors map[string]Cursor, leftovers []string, err error) {
	cursors = map[string]Cursor{}
	entries, err := fsys.ReadDir(cursorDir)
	if errors.Is(err, fs.ErrNotExist) {
		return cursors, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		file := path.Join(cursorDir, e.Name())
		if strings.HasPrefix(e.Name(), disk.TempPrefix) {
			leftovers = append(leftovers, file)
			continue
		}
		if !strings.HasPrefix(e.Name(), cursorPrefix) {
			continue
		}
		b, err := fsys.unwrap(file, cursorMagic, hintCursor)
		if err != nil {
			return nil, nil, err
		}
		name, c, err := decodeCursor(b)
		if err == nil && cursorPath(name) != file {
			err = fmt.Errorf("it belongs to %q", name)
		}
		if err != nil {
			return nil, nil, &CorruptError{File: filePath(fsys, file), Reason: err.Error(), Hint: hintCursor}
		}
		cursors[name] = c
	}
	return cursors, leftovers, nil
}

// Cursor implements [Journal].
func (d *Disk) Cursor(name string) (Cursor, bool) {
	d.saving.Lock()
	defer d.saving.Unlock()
	c, ok := d.cursors[name]
	return c.clone(), ok
}

// Cursors implements [Journal].
func (d *Disk) Cursors() []string {
	d.saving.Lock()
	defer d.saving.Unlock()
	return slices.Sorted(maps.Keys(d.cursors))
}

// SaveCursor implements [Journal]. It first waits until what the cursor speaks of is
// durable, since a cursor must not survive what it counts. As long as there is no
// cursor at all, nothing is deleted: whoever reads first may want everything.
func (d *Disk) SaveCursor(name string, c Cursor) error {
	if err := c.validate(); err != nil {
		return err
	}
	err := d.awaitDurable(c.highest())
	if err == nil {
		err = d.awaitFlush(c.highest())
	}
	if err != nil {
		return fmt.Errorf("journal: cursor %s: %w", name, err)
	}
	d.saving.Lock()
	defer d.saving.Unlock()
	if err := d.judgeCursor(c); err != nil {
		return fmt.Errorf("journal: cursor %s: %w", name, err)
	}
	b, err := d.fs.wrap(cursorMagic, c.encode(name))
	if err == nil {
		err = disk.WriteFile(d.fs, cursorPath(name), b, disk.PrivateFile)
	}
	if err != nil {
		return fmt.Errorf("journal: cursor %s: %w", name, err)
	}
	d.cursors[name] = c.clone()
	d.trim()
	return nil
}

// DropCursor implements [Journal]. To drop what is not there is no error.
func (d *Disk) DropCursor(name string) error {
	d.saving.Lock()
	defer d.saving.Unlock()
	if _, ok := d.cursors[name]; !ok {
		return nil
	}
	if err := d.judgeCursor(d.cursors[name]); err != nil {
		return fmt.Errorf("journal: cursor %s: %w", name, err)
	}
	if err := d.fs.Remove(cursorPath(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("journal: cursor %s: %w", name, err)
	}
	if err := d.fs.SyncDir(cursorDir); err != nil {
		return fmt.Errorf("journal: cursor %s: %w", name, err)
	}
	delete(d.cursors, name)
	d.trim()
	return nil
}

// awaitDurable waits until a change is durable. That is soon: the writer flushes as
// soon as it is idle.
func (d *Disk) awaitDurable(seq uint64) error {
	for {
		d.mu.Lock()
		durable, last, more, err := d.durable, d.last, d.more, d.over()
		d.mu.Unlock()
		switch {
		case seq <= durable:
			return nil
		case err != nil:
			return err
		case seq > last:
			return fmt.Errorf("seq %d is beyond the journal's end at %d", seq, last)
		}
		<-more
	}
}

// judgeCursor tells whether a cursor may be saved or dropped now.
func (d *Disk) judgeCursor(c Cursor) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closing {
		return cdc.ErrStopped
	}
	if first := d.segments[0].first; c.Low+1 < first {
		return fmt.Errorf("seq %d is no longer there, the journal begins at %d", c.Low+1, first)
	}
	return nil
}
