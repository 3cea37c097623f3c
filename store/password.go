package store

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"math/bits"
	"regexp"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// What the original hashes with, where it is not told otherwise.
const (
	bcryptRounds  = 12
	argonMemory   = 1 << 16 // KiB
	argonTime     = 3
	argonThreads  = 4
	argonSaltSize = 16
	argonKeySize  = 32
)

// maxPassword is all that bcrypt looks at, in bytes.
const maxPassword = 72

// The forms of a hash: as it is stored, and as other programs write it.
var (
	storedHash = regexp.MustCompile(`^\$([0-9a-zA-Z]{1,2})\$[./0-9A-Za-z]{53}$|^\$[0-9a-zA-Z]+\|[0-9a-zA-Z]+\|[0-9a-zA-Z]+\|[0-9a-zA-Z]+\$[+/0-9A-Za-z]+\$[+/0-9A-Za-z]+$`)
	bcryptHash = regexp.MustCompile(`^\$2[aby]\$(\d\d)\$([./0-9A-Za-z]{53})$`)
	argonHash  = regexp.MustCompile(`^\$argon2id\$v=(\d{1,9})\$m=(\d{1,9}),t=(\d{1,9}),p=(\d{1,9})\$([+/0-9A-Za-z]+)\$([+/0-9A-Za-z]+)$`)
)

// compactHash gives the stored form of what is a hash already, or false.
func compactHash(text string) (string, bool) {
	if !strings.HasPrefix(text, "$") {
		return "", false // as nearly every text that is asked about
	}
	if storedHash.MatchString(text) {
		return text, true
	}
	if m := bcryptHash.FindStringSubmatch(text); m != nil {
		return "$" + encodeInt(int64(decimalDigits(m[1]))) + "$" + m[2], true
	}
	m := argonHash.FindStringSubmatch(text)
	if m == nil || bits.OnesCount64(decimalDigits(m[2])) != 1 {
		return "", false // the form has room for a power of two
	}
	return argonText(decimalDigits(m[1]), decimalDigits(m[2]), decimalDigits(m[3]), decimalDigits(m[4]), m[5], m[6]), true
}

func argonText(version, memory, time, threads uint64, salt, key string) string {
	numbers := make([]string, 0, 4)
	for _, n := range []uint64{version, uint64(bits.TrailingZeros64(memory)), time, threads} {
		numbers = append(numbers, encodeInt(int64(n)))
	}
	return "$" + strings.Join(numbers, "|") + "$" + salt + "$" + key
}

// acceptPassword refuses what can't be hashed. A hash passes, in its stored form.
func (a *attribute) acceptPassword(v any) (any, string) {
	text, ok := v.(string)
	if !ok {
		return nil, "must be a string" + not(v)
	}
	if hash, ok := compactHash(text); ok {
		return hash, ""
	}
	switch {
	case text == "":
		return nil, "must not be empty"
	case len(text) > maxPassword && !a.argon2:
		return nil, fmt.Sprintf("must have at most %d bytes", maxPassword)
	}
	return text, ""
}

// hash gives the stored form of a password. It takes some tenth of a second, on
// purpose.
func (a *attribute) hash(password string) (string, error) {
	if a.argon2 {
		salt := make([]byte, argonSaltSize)
		rand.Read(salt)
		key := argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, argonKeySize)
		encode := base64.RawStdEncoding.EncodeToString
		return argonText(argon2.Version, argonMemory, argonTime, argonThreads, encode(salt), encode(key)), nil
	}
	full, err := bcrypt.GenerateFromPassword([]byte(password), bcryptRounds)
	if err != nil {
		return "", errors.New("the password can't be hashed")
	}
	hash, _ := compactHash(string(full))
	return hash, nil
}

// hashed gives conforming fields with hashes in place of the passwords.
func hashed(attrs []*attribute, fields map[string]any) error {
	for _, a := range attrs {
		if a.kind != kindPassword && a.kind != kindNested {
			continue
		}
		switch v := fields[a.name].(type) {
		case string:
			if _, done := compactHash(v); done {
				continue
			}
			hash, err := a.hash(v)
			if err != nil {
				return fmt.Errorf("%s: %w", a.path, err)
			}
			fields[a.name] = hash
		case map[string]any:
			if err := hashed(a.fields, v); err != nil {
				return err
			}
		}
	}
	return nil
}
