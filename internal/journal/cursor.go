package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/disk"
)

// Cursors are one file each in cursorDir. The content is the name's length (u32),
// the name, Low, and First and Last of every range (u64). The name stands in it so
// that a file that was copied or renamed is not taken for another's.
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
	if n := len(c.Ranges); n > 0 {
		return c.Ranges[n-1].Last
	}
	return c.Low
}

// validate judges the form: ranges sorted, apart, and above Low+1.
func (c Cursor) validate() error {
	last := c.Low
	for _, r := range c.Ranges {
		if r.First <= last+1 || r.Last < r.First {
			return fmt.Errorf("journal: cursor: range %d-%d after %d", r.First, r.Last, last)
		}
		last = r.Last
	}
	return nil
}

func (c Cursor) clone() Cursor {
	c.Ranges = slices.Clone(c.Ranges)
	return c
}

func (c Cursor) encode(name string) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(name)))
	b = append(b, name...)
	b = binary.LittleEndian.AppendUint64(b, c.Low)
	for _, r := range c.Ranges {
		b = binary.LittleEndian.AppendUint64(b, r.First)
		b = binary.LittleEndian.AppendUint64(b, r.Last)
	}
	return wrap(cursorMagic, b)
}

var errCursor = errors.New("its content makes no sense")

func decodeCursor(b []byte) (name string, c Cursor, err error) {
	if len(b) < 4 {
		return "", c, errCursor
	}
	n := binary.LittleEndian.Uint32(b)
	b = b[4:]
	if uint64(n)+8 > uint64(len(b)) || (len(b)-int(n)-8)%16 != 0 {
		return "", c, errCursor
	}
	name, b = string(b[:n]), b[n:]
	c.Low = binary.LittleEndian.Uint64(b)
	for b = b[8:]; len(b) > 0; b = b[16:] {
		c.Ranges = append(c.Ranges, Range{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])})
	}
	return name, c, c.validate()
}

// readCursors reads all cursors and gives the leftovers of unfinished writes, which
// may be removed.
func readCursors(fsys disk.FS) (cursors map[string]Cursor, leftovers []string, err error) {
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
		b, err := unwrap(fsys, file, cursorMagic, hintCursor)
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
	if err := d.awaitDurable(c.highest()); err != nil {
		return fmt.Errorf("journal: cursor %s: %w", name, err)
	}
	d.saving.Lock()
	defer d.saving.Unlock()
	if err := d.judgeCursor(c); err != nil {
		return fmt.Errorf("journal: cursor %s: %w", name, err)
	}
	if err := disk.WriteFile(d.fs, cursorPath(name), c.encode(name), disk.PrivateFile); err != nil {
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
		durable, last, more, err := d.durable, d.last, d.more, d.refused()
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

// trim deletes the segments that no cursor needs, never the newest. Announcements
// need none: each segment repeats those that are open at its beginning. The caller
// holds saving.
func (d *Disk) trim() {
	if len(d.cursors) == 0 {
		return
	}
	low := uint64(math.MaxUint64)
	for _, c := range d.cursors {
		low = min(low, c.Low)
	}
	d.mu.Lock()
	n := 0
	for n+1 < len(d.segments) && d.segments[n+1].first <= low+1 {
		n++
	}
	dropped := slices.Clone(d.segments[:n])
	d.segments = slices.Delete(d.segments, 0, n)
	d.mu.Unlock()
	if n == 0 {
		return
	}
	// What fails here costs room until the next start, and nothing else: what is
	// left is taken for a part of the journal that nobody needs.
	var failed error
	for _, s := range dropped {
		failed = errors.Join(failed, d.fs.Remove(segmentName(s.number)))
	}
	if failed = errors.Join(failed, d.fs.SyncDir(".")); failed != nil {
		d.opts.Logger.Warn("journal: can't delete segments that are no longer needed", "err", failed)
	}
}
