package journal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/s3db-go/replicator/internal/disk"
)

// Encryption keeps what the files hold from those who can read them: the payloads of
// all frames, and cursors. It does not hide how much is written and when, the names of
// the cursors' files, or the ids of the keys. The zero value encrypts nothing.
type Encryption struct {
	// KeyID names the key for what is written from now on, "" for none. It is asked for
	// every new segment and cursor, so that another name moves on to another key; what
	// was written before keeps its own until it is deleted. nil is "".
	KeyID func() string
	// Key gives the key of a name: 32 random bytes. It is asked for every segment and
	// cursor that is written or read, so it should remember what it had to look up: an
	// error where something is to be written is like one of the disk.
	Key func(id string) ([]byte, error)
}

// ErrKey: what is there is encrypted, and its key is missing or another one. Nothing
// was changed.
var ErrKey = errors.New("journal: the key is missing or wrong")

// How a segment or a small file is encrypted:
//
//	u32  algorithm: 0 for none, and nothing follows; 1 for AES-256-GCM, and
//	     32 bytes of salt, 16 bytes that only the right key gives, u32 length and id of
//	     the key
//
// The key for one file is derived from the named one and the salt, which is random
// and new whenever a file is begun. Within a segment the nonce of a frame is its
// offset. So a nonce would come twice only if a place in a segment were written twice
// with different content, and none is: after a failed write, and after whatever may
// have torn its tail, a segment is left and a new one begun. A small file is written
// once under its salt.
const (
	plain  = 0
	aesGCM = 1

	saltSize = 32
	tagSize  = 16
	keySize  = 32
)

// vault is a directory, and the keys to it.
type vault struct {
	disk.FS
	keys Encryption
}

// keyID is the name of the present key, "" for none.
func (v vault) keyID() string {
	if v.keys.KeyID == nil {
		return ""
	}
	return v.keys.KeyID()
}

// sealing is how one file is encrypted. A nil seal is how one is that is not.
type sealing struct {
	id    string
	salt  [saltSize]byte
	check [tagSize]byte
	aead  cipher.AEAD
}

// newSealing gives the sealing of a new file, nil for none.
func (v vault) newSealing() (*sealing, error) {
	id := v.keyID()
	if id == "" {
		return nil, nil
	}
	s := &sealing{id: id}
	rand.Read(s.salt[:])
	if err := s.unlock(v.keys); err != nil {
		return nil, err
	}
	s.aead.Seal(s.check[:0], nonce(isCheck, 0), nil, nil)
	return s, nil
}

// unlock derives the file's key.
func (s *sealing) unlock(keys Encryption) error {
	if keys.Key == nil {
		return fmt.Errorf("%w: %q is needed", ErrKey, s.id)
	}
	key, err := keys.Key(s.id)
	if err != nil {
		return fmt.Errorf("%w: %q: %w", ErrKey, s.id, err)
	}
	if len(key) != keySize {
		return fmt.Errorf("%w: %q has %d bytes, it takes %d", ErrKey, s.id, len(key), keySize)
	}
	derived, err := hkdf.Key(sha256.New, key, s.salt[:], "replicator journal", keySize)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	block, err := aes.NewCipher(derived)
	if err == nil {
		s.aead, err = cipher.NewGCM(block)
	}
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

// open unlocks a sealing that was read, and finds out whether the key is the right
// one.
func (s *sealing) open(keys Encryption) error {
	if s == nil {
		return nil
	}
	if err := s.unlock(keys); err != nil {
		return err
	}
	if _, err := s.aead.Open(nil, nonce(isCheck, 0), s.check[:], nil); err != nil {
		return fmt.Errorf("%w: %q is not what this was encrypted with", ErrKey, s.id)
	}
	return nil
}

func (s *sealing) append(b []byte) []byte {
	if s == nil {
		return binary.LittleEndian.AppendUint32(b, plain)
	}
	b = binary.LittleEndian.AppendUint32(b, aesGCM)
	b = append(b, s.salt[:]...)
	b = append(b, s.check[:]...)
	return appendText(b, s.id)
}

// parseSealing reads what append wrote and gives what follows it. The sealing is not
// unlocked.
func parseSealing(b []byte) (s *sealing, rest []byte, err error) {
	if len(b) < 4 {
		return nil, nil, errPayload
	}
	algorithm := binary.LittleEndian.Uint32(b)
	b = b[4:]
	switch {
	case algorithm == plain:
		return nil, b, nil
	case algorithm != aesGCM:
		return nil, nil, fmt.Errorf("%w: encrypted by algorithm %d", ErrFormat, algorithm)
	case len(b) < saltSize+tagSize:
		return nil, nil, errPayload
	}
	s = &sealing{salt: [saltSize]byte(b), check: [tagSize]byte(b[saltSize:])}
	id, rest, ok := cutText(b[saltSize+tagSize:])
	if !ok || id == "" {
		return nil, nil, errPayload
	}
	s.id = id
	return s, rest, nil
}

// What a nonce is for.
const (
	isFrame = iota
	isCheck
	isFile
)

func nonce(what uint32, offset int64) []byte {
	n := binary.LittleEndian.AppendUint32(make([]byte, 0, 12), what)
	return binary.LittleEndian.AppendUint64(n, uint64(offset))
}

// frames appends to out the sealed frames of b, which are to stand at an offset, with
// their payloads encrypted; that of a start is not. Without a sealing it gives b.
func (s *sealing) frames(out, b []byte, offset int64) []byte {
	if s == nil {
		return b
	}
	for len(b) > 0 {
		size := sealedSize(b)
		at, k := len(out), kind(b[4])
		payload := b[headerSize : headerSize+int(binary.LittleEndian.Uint32(b))]
		out = reserve(out)
		if k == kindStart {
			out = append(out, payload...)
		} else {
			out = s.aead.Seal(out, nonce(isFrame, offset), payload, []byte{byte(k)})
		}
		out = seal(out, at, k)
		offset += int64(len(out) - at)
		b = b[size:]
	}
	return out
}

// size is what frames gives for b.
func (s *sealing) size(b []byte) int64 {
	if s == nil {
		return int64(len(b))
	}
	sum := int64(0)
	for len(b) > 0 {
		sum += frameSize(int(binary.LittleEndian.Uint32(b)) + tagSize)
		b = b[sealedSize(b):]
	}
	return sum
}

// errSealed: the checksum is right, and it was not this journal that wrote it.
var errSealed = errors.New("the frame can't be decrypted, though its checksum is right: it was tampered with")

// payload appends the decrypted payload of a frame to out.
func (s *sealing) payload(out []byte, k kind, offset int64, b []byte) ([]byte, error) {
	out, err := s.aead.Open(out, nonce(isFrame, offset), b, []byte{byte(k)})
	if err != nil {
		return nil, errSealed
	}
	return out, nil
}

// file appends a small file's content to b, encrypted unless s is nil.
func (s *sealing) file(b []byte, what string, content []byte) []byte {
	if s == nil {
		return append(b, content...)
	}
	return s.aead.Seal(b, nonce(isFile, 0), content, []byte(what))
}

// content is the inverse of file.
func (s *sealing) content(what string, b []byte) ([]byte, error) {
	if s == nil {
		return b, nil
	}
	content, err := s.aead.Open(nil, nonce(isFile, 0), b, []byte(what))
	if err != nil {
		return nil, errors.New("it can't be decrypted, though its checksum is right: it was tampered with")
	}
	return content, nil
}
