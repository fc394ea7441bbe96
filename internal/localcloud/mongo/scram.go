package mongo

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// Mechanisms, as clients name them.
const (
	mechanismSHA256 = "SCRAM-SHA-256"
	mechanismSHA1   = "SCRAM-SHA-1"
	mechanismPlain  = "PLAIN"
)

var errSignIn = errors.New("authentication failed")

// scram is one conversation of RFC 5802 from the server's side. All passwords of a
// user are tried with one salt, so that several keys of an account can sign in.
type scram struct {
	mechanism  string
	hash       func() hash.Hash
	iterations int
	user       string
	salt       []byte
	nonce      string
	firstBare  string // client's first message without its header
	header     string // what the client repeats as c=
	first      string // server's first message
}

// newScram answers the client's first message.
func newScram(mechanism, clientFirst string) (*scram, error) {
	s := &scram{mechanism: mechanism, hash: sha256.New, iterations: 15000}
	if mechanism == mechanismSHA1 {
		s.hash, s.iterations = sha1.New, 10000
	}
	header, bare, ok := cutHeader(clientFirst)
	if !ok {
		return nil, errSignIn
	}
	fields := strings.Split(bare, ",")
	if len(fields) < 2 || !strings.HasPrefix(fields[0], "n=") || !strings.HasPrefix(fields[1], "r=") || len(fields[1]) < 10 {
		return nil, errSignIn
	}
	s.header, s.firstBare = header, bare
	s.user = strings.NewReplacer("=2C", ",", "=3D", "=").Replace(fields[0][2:])
	fresh := make([]byte, 24)
	s.salt = make([]byte, 28)
	if mechanism == mechanismSHA1 {
		s.salt = s.salt[:16]
	}
	rand.Read(fresh)  //nolint:errcheck // never fails
	rand.Read(s.salt) //nolint:errcheck // never fails
	s.nonce = fields[1][2:] + base64.StdEncoding.EncodeToString(fresh)
	s.first = "r=" + s.nonce + ",s=" + base64.StdEncoding.EncodeToString(s.salt) + ",i=" + strconv.Itoa(s.iterations)
	return s, nil
}

// cutHeader takes off "n,," or "y,,": no channel binding, no other identity.
func cutHeader(text string) (header, bare string, ok bool) {
	for _, header := range []string{"n,,", "y,,"} {
		if bare, ok := strings.CutPrefix(text, header); ok {
			return header, bare, true
		}
	}
	return "", "", false
}

// finish checks the client's proof against each password and answers with the proof of
// the one that fits.
func (s *scram) finish(clientFinal string, secrets []Secret) (Secret, string, error) {
	at := strings.LastIndex(clientFinal, ",p=")
	if at < 0 {
		return Secret{}, "", errSignIn
	}
	without, proofText := clientFinal[:at], clientFinal[at+3:]
	if without != "c="+base64.StdEncoding.EncodeToString([]byte(s.header))+",r="+s.nonce {
		return Secret{}, "", errSignIn
	}
	proof, err := base64.StdEncoding.DecodeString(proofText)
	if err != nil {
		return Secret{}, "", errSignIn
	}
	message := s.firstBare + "," + s.first + "," + without
	for _, secret := range secrets {
		if signature, ok := s.fits(secret.Password, message, proof); ok {
			return secret, "v=" + base64.StdEncoding.EncodeToString(signature), nil
		}
	}
	return Secret{}, "", errSignIn
}

// fits tells whether the proof was made with a password; the signature proves the
// server to the client.
func (s *scram) fits(password, message string, proof []byte) (signature []byte, ok bool) {
	salted, err := pbkdf2.Key(s.hash, s.prepared(password), s.salt, s.iterations, s.hash().Size())
	if err != nil || len(proof) != len(salted) {
		return nil, false
	}
	clientSignature := s.mac(s.digest(s.mac(salted, "Client Key")), message)
	clientKey := make([]byte, len(proof))
	subtle.XORBytes(clientKey, proof, clientSignature)
	if subtle.ConstantTimeCompare(s.digest(clientKey), s.digest(s.mac(salted, "Client Key"))) != 1 {
		return nil, false
	}
	return s.mac(s.mac(salted, "Server Key"), message), true
}

// prepared is the password as the mechanism takes it. SASLprep of a password without
// non-ASCII blanks and control characters is its compatibility composition.
func (s *scram) prepared(password string) string {
	if s.mechanism == mechanismSHA1 {
		sum := md5.Sum([]byte(s.user + ":mongo:" + password))
		return hex.EncodeToString(sum[:])
	}
	return norm.NFKC.String(password)
}

func (s *scram) mac(key []byte, text string) []byte {
	h := hmac.New(s.hash, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func (s *scram) digest(b []byte) []byte {
	h := s.hash()
	h.Write(b)
	return h.Sum(nil)
}

// plain checks a PLAIN message: identity, user and password between NULs.
func plain(payload string, secrets func(user string) []Secret) (string, Secret, error) {
	parts := strings.Split(payload, "\x00")
	if len(parts) != 3 || parts[0] != "" && parts[0] != parts[1] {
		return "", Secret{}, errSignIn
	}
	for _, secret := range secrets(parts[1]) {
		if subtle.ConstantTimeCompare([]byte(secret.Password), []byte(parts[2])) == 1 {
			return parts[1], secret, nil
		}
	}
	return "", Secret{}, fmt.Errorf("plain: %w", errSignIn)
}
