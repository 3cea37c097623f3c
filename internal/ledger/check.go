package ledger

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// The layout of a bbolt file, in the byte order of the machine: pages that begin with a
// header, of which two hold the roots of the last two transactions in turns.
const (
	headerLen  = 16 // id (8), kind (2), count (2), pages that it is longer (4)
	elementLen = 16

	branchKind   = 0x01
	leafKind     = 0x02
	freelistKind = 0x10

	// Places in the page of a transaction.
	rootAt     = headerLen + 16
	freelistAt = headerLen + 32
	pagesAt    = headerLen + 40
	rootsLen   = headerLen + 48

	noFreelist   = 1<<64 - 1
	bucketFlag   = 0x01 // of an element whose value is a bucket
	bucketLen    = 16   // root (8), sequence (8); a small bucket follows as a page
	manyFree     = 0xFFFF
	firstPage    = 2  // the pages before it are those of transactions
	deepestPages = 64 // of a tree in which a page has at least two others below it
)

var native = binary.NativeEndian

// check reads every page of a bbolt file that the transaction can come to. bbolt
// trusts its file: on a damaged one it panics, reads for ever, runs out of stack, or
// writes over pages that are in use. The fault is the first that could make it do so.
// What keys and values say is not judged: a row is when it is read.
func check(file io.ReaderAt, pageSize int, transaction int) error {
	c := checker{file: file, pageSize: pageSize}
	roots := make([]byte, rootsLen)
	if _, err := file.ReadAt(roots, int64(transaction%2*pageSize)); err != nil {
		return err
	}
	pages := native.Uint64(roots[pagesAt:])
	if pages > 1<<32 { // 16 TiB and more; what follows takes a byte for each
		return damage("it has an impossible number of pages")
	}
	c.used = make([]bool, pages)
	if err := c.tree(native.Uint64(roots[rootAt:]), new(order), 0); err != nil {
		return err
	}
	id := native.Uint64(roots[freelistAt:])
	if id == noFreelist {
		return nil
	}
	if err := c.freelist(id); err != nil {
		return err
	}
	if lost := slices.Index(c.used[firstPage:], false); lost >= 0 {
		return damage(fmt.Sprintf("page %d is lost", firstPage+lost))
	}
	return nil
}

// checker knows which pages have been come to.
type checker struct {
	file     io.ReaderAt
	pageSize int
	used     []bool
	buffers  [deepestPages][]byte // one for each level
}

// use marks a page, which may be come to once.
func (c *checker) use(id uint64) error {
	if id < firstPage || id >= uint64(len(c.used)) {
		return damage(fmt.Sprintf("page %d is named, of %d", id, len(c.used)))
	}
	if c.used[id] {
		return damage(fmt.Sprintf("page %d is named twice", id))
	}
	c.used[id] = true
	return nil
}

// page reads a page. It is valid until the next one of its level is read.
func (c *checker) page(id uint64, level int) ([]byte, error) {
	if level == deepestPages {
		return nil, damage("it is too deep")
	}
	if err := c.use(id); err != nil {
		return nil, err
	}
	b := c.buffers[level]
	if b == nil {
		b = make([]byte, c.pageSize)
	}
	b = b[:c.pageSize]
	if err := c.read(b, id); err != nil {
		return nil, err
	}
	if native.Uint64(b) != id {
		return nil, damage(fmt.Sprintf("page %d says that it is another", id))
	}
	longer := uint64(native.Uint32(b[12:]))
	if id+longer >= uint64(len(c.used)) {
		return nil, damage(fmt.Sprintf("page %d is too long", id))
	}
	for i := range longer {
		if err := c.use(id + 1 + i); err != nil {
			return nil, err
		}
	}
	if longer > 0 {
		b = append(b, make([]byte, longer*uint64(c.pageSize))...)
		if err := c.read(b[c.pageSize:], id+1); err != nil {
			return nil, err
		}
	}
	c.buffers[level] = b
	return b, nil
}

func (c *checker) read(b []byte, id uint64) error {
	_, err := c.file.ReadAt(b, int64(id)*int64(c.pageSize))
	if err == io.EOF {
		return damage(fmt.Sprintf("it ends before page %d", id))
	}
	return err
}

// tree checks the page and all below it.
func (c *checker) tree(id uint64, keys *order, level int) error {
	p, err := c.page(id, level)
	if err != nil {
		return err
	}
	switch n := elements(p); {
	case native.Uint16(p[8:]) == branchKind && n > 0:
		return c.branch(p, n, id, keys, level)
	case native.Uint16(p[8:]) == leafKind && n >= 0:
		return c.leaf(p, n, id, keys, level)
	}
	return damage(fmt.Sprintf("page %d is not part of a tree", id))
}

// branch checks elements of the place of the key (4), its length (4), and the page
// with the keys from there on (8).
func (c *checker) branch(p []byte, n int, id uint64, keys *order, level int) error {
	for i := range n {
		e := headerLen + i*elementLen
		key, ok := content(p, n, uint64(e)+number(p[e:]), number(p[e+4:]))
		if !ok || !keys.take(key, true) {
			return damage(fmt.Sprintf("page %d has a wrong key", id))
		}
		if err := c.tree(native.Uint64(p[e+8:]), keys, level+1); err != nil {
			return err
		}
	}
	return nil
}

// leaf checks elements of flags (4), the place of the key (4), its length (4), and that
// of the value (4), which follows the key.
func (c *checker) leaf(p []byte, n int, id uint64, keys *order, level int) error {
	for i := range n {
		e := headerLen + i*elementLen
		keyLen := number(p[e+8:])
		both, ok := content(p, n, uint64(e)+number(p[e+4:]), keyLen+number(p[e+12:]))
		if !ok || !keys.take(both[:keyLen], false) {
			return damage(fmt.Sprintf("page %d has a wrong key", id))
		}
		if native.Uint32(p[e:])&bucketFlag == 0 {
			continue
		}
		if err := c.bucket(both[keyLen:], id, level); err != nil {
			return err
		}
	}
	return nil
}

// bucket checks a bucket, given by a value on the page.
func (c *checker) bucket(value []byte, id uint64, level int) error {
	if len(value) < bucketLen {
		return damage(fmt.Sprintf("page %d has a wrong bucket", id))
	}
	if root := native.Uint64(value); root != 0 {
		return c.tree(root, new(order), level+1)
	}
	small := value[bucketLen:]
	if len(small) < headerLen || native.Uint16(small[8:]) != leafKind || elements(small) < 0 {
		return damage(fmt.Sprintf("page %d has a wrong bucket", id))
	}
	return c.leaf(small, elements(small), id, new(order), level)
}

// freelist checks the list of free pages, which must be those that the tree does not
// have: bbolt writes on them.
func (c *checker) freelist(id uint64) error {
	p, err := c.page(id, 0)
	if err != nil {
		return err
	}
	ids, n := p[headerLen:], uint64(native.Uint16(p[10:]))
	if n == manyFree {
		n, ids = native.Uint64(ids), ids[8:]
	}
	if native.Uint16(p[8:]) != freelistKind || n > uint64(len(ids)/8) {
		return damage(fmt.Sprintf("page %d is no list of free pages", id))
	}
	for i := range n {
		if err := c.use(native.Uint64(ids[i*8:])); err != nil {
			return err
		}
	}
	return nil
}

func number(b []byte) uint64 { return uint64(native.Uint32(b)) }

// elements gives the number of a page's elements, -1 if there is no room for so many.
func elements(p []byte) int {
	n := int(native.Uint16(p[10:]))
	if headerLen+n*elementLen > len(p) {
		return -1
	}
	return n
}

// content gives what elements point to, and whether it lies behind all n of them and on
// the page.
func content(p []byte, n int, from, length uint64) ([]byte, bool) {
	if from < uint64(headerLen+n*elementLen) || from+length > uint64(len(p)) {
		return nil, false
	}
	return p[from : from+length], true
}

// order is where the walk through a bucket's keys has come to.
type order struct {
	last     []byte // nil before the first
	ofBranch bool
}

// take goes on to a key and reports whether it may come there: after the one before, and
// a branch's is the first of the page that it leads to.
func (o *order) take(key []byte, ofBranch bool) bool {
	by := bytes.Compare(key, o.last)
	ok := len(key) > 0 && (by > 0 && !o.ofBranch || by == 0 && o.ofBranch)
	o.last, o.ofBranch = append(o.last[:0], key...), ofBranch
	return ok
}
