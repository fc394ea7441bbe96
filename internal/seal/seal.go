// Package seal is the authenticated encryption of what must be kept: secrets only
// the user could give, and previous values that may be secret.
//
// It promises that a sealed value opens only with the same key and the same
// binding, that any change to it is noticed, and that one key never serves two
// purposes. The key lives outside the store that keeps the sealed values. It must
// not log, print or return a key or a plain text in an error.
package seal

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"
)

// ErrOpen tells that a sealed value was made with another key or for another
// binding, or was changed since. Which of them cannot be known.
var ErrOpen = errors.New("sealed value does not open with this key")

// KeySize is the length of a key in bytes.
const KeySize = 32

// format is the first byte of a sealed value, so that a later cipher can be told apart.
const format = 1

// Purposes of the keys derived from the one that is stored.
const (
	purposeSeal = "patchbay seal v1"
	purposeMAC  = "patchbay mac v1"
)

// Box seals, opens and authenticates with one key. It is safe for concurrent use.
type Box struct {
	aead cipher.AEAD
	mac  []byte
}

// New makes a Box from a key of KeySize random bytes. The key is not kept; keys
// derived from it are.
func New(key []byte) (*Box, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("key has %d bytes, want %d", len(key), KeySize)
	}
	sealing, err := hkdf.Key(sha256.New, key, nil, purposeSeal, chacha20poly1305.KeySize)
	if err != nil {
		return nil, fmt.Errorf("derive sealing key: %w", err)
	}
	mac, err := hkdf.Key(sha256.New, key, nil, purposeMAC, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive authentication key: %w", err)
	}
	aead, err := chacha20poly1305.NewX(sealing)
	if err != nil {
		return nil, fmt.Errorf("make cipher: %w", err)
	}
	return &Box{aead: aead, mac: mac}, nil
}

// String keeps a Box out of print.
func (*Box) String() string { return "seal.Box" }

// GoString keeps a Box out of print.
func (*Box) GoString() string { return "seal.Box" }

// Seal encrypts plain and binds it: Open needs the same binding, in the same order.
// The binding itself is not part of the result. The length of plain can be told
// from the length of the result.
func (b *Box) Seal(plain []byte, binding ...string) []byte {
	nonce := make([]byte, b.aead.NonceSize(), b.aead.NonceSize()+len(plain)+b.aead.Overhead())
	_, _ = rand.Read(nonce) // never fails, it ends the process instead
	sealed := b.aead.Seal(nonce, nonce, plain, associated(binding))
	return append([]byte{format}, sealed...)
}

// Open returns what was sealed, or ErrOpen.
func (b *Box) Open(sealed []byte, binding ...string) ([]byte, error) {
	if len(sealed) < 1+b.aead.NonceSize()+b.aead.Overhead() || sealed[0] != format {
		return nil, ErrOpen
	}
	nonce, text := sealed[1:1+b.aead.NonceSize()], sealed[1+b.aead.NonceSize():]
	plain, err := b.aead.Open(nil, nonce, text, associated(binding))
	if err != nil {
		return nil, ErrOpen // the cipher's own error says no more
	}
	return plain, nil
}

// MAC returns a keyed fingerprint of text, for comparing secrets without keeping
// them. Equal texts have equal fingerprints under one key.
func (b *Box) MAC(text string) string {
	h := hmac.New(sha256.New, b.mac)
	h.Write([]byte(text))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// associated writes the binding with lengths, so that ("ab","c") differs from ("a","bc").
func associated(binding []string) []byte {
	data := []byte{format}
	for _, part := range binding {
		data = binary.AppendUvarint(data, uint64(len(part)))
		data = append(data, part...)
	}
	return data
}
