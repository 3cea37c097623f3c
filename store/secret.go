package store

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"sync"
)

// A secret is stored as the base 64 of salt, nonce, ciphertext and tag: AES-256 in
// Galois/Counter mode under a key that PBKDF2 makes of passphrase and salt.
const (
	saltSize   = 16
	keySize    = 32
	nonceSize  = 12
	iterations = 100_000
)

// maxKeys bounds the keys that are kept for reading, at some 500 bytes each. The
// original draws a salt per value, so that a bucket has as many keys as secrets;
// one of ours has as many as there were openings.
const maxKeys = 1024

var errUndecryptable = errors.New("can't be decrypted with this passphrase")

// sealer encrypts and decrypts secrets under one passphrase. It writes under one
// salt, and so derives one key, since that costs some 17 ms.
type sealer struct {
	passphrase string
	salt       [saltSize]byte
	own        func() (cipher.AEAD, error) // the key of salt, derived at first use

	mu   sync.Mutex // guards keys
	keys map[[saltSize]byte]cipher.AEAD
}

// newSealer gives nil for no passphrase.
func newSealer(passphrase string) *sealer {
	if passphrase == "" {
		return nil
	}
	s := &sealer{passphrase: passphrase, keys: make(map[[saltSize]byte]cipher.AEAD)}
	rand.Read(s.salt[:])
	s.own = sync.OnceValues(func() (cipher.AEAD, error) { return s.derive(s.salt) })
	return s
}

func (s *sealer) derive(salt [saltSize]byte) (cipher.AEAD, error) {
	key, err := pbkdf2.Key(sha256.New, s.passphrase, salt[:], iterations, keySize)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// seal encrypts a text.
func (s *sealer) seal(text string) (string, error) {
	aead, err := s.own()
	if err != nil {
		return "", err
	}
	out := make([]byte, saltSize+nonceSize, saltSize+nonceSize+len(text)+aead.Overhead())
	copy(out, s.salt[:])
	rand.Read(out[saltSize:])
	out = aead.Seal(out, out[saltSize:], []byte(text), nil)
	return base64.StdEncoding.EncodeToString(out), nil
}

// open decrypts what seal or the original made, or gives errUndecryptable.
func (s *sealer) open(sealed string) (string, error) {
	data, err := base64.StdEncoding.DecodeString(sealed)
	if err != nil || len(data) < saltSize+nonceSize {
		return "", errUndecryptable
	}
	aead, err := s.key([saltSize]byte(data))
	if err != nil {
		return "", err
	}
	nonce, text := data[saltSize:saltSize+nonceSize], data[saltSize+nonceSize:]
	plain, err := aead.Open(nil, nonce, text, nil)
	if err != nil {
		return "", errUndecryptable
	}
	return string(plain), nil
}

// key gives the key of a salt, from the cache or derived.
func (s *sealer) key(salt [saltSize]byte) (cipher.AEAD, error) {
	if salt == s.salt {
		return s.own()
	}
	s.mu.Lock()
	aead := s.keys[salt]
	s.mu.Unlock()
	if aead != nil {
		return aead, nil
	}
	// Not under the lock: others need not wait for these 17 ms, and a key that is
	// derived twice is the same.
	aead, err := s.derive(salt)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.keys) >= maxKeys {
		clear(s.keys)
	}
	s.keys[salt] = aead
	return aead, nil
}
