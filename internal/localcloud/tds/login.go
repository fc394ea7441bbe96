package tds

import (
	"encoding/binary"
	"fmt"
	"slices"
	"unicode/utf16"
)

// Options of a prelogin.
const (
	optionVersion    = 0x00
	optionEncryption = 0x01
	optionInstance   = 0x02
	optionThread     = 0x03
	optionMARS       = 0x04
	optionFedAuth    = 0x06
	optionNonce      = 0x07
	optionEnd        = 0xFF
)

// Answers about encryption.
const (
	encryptOff      = 0
	encryptOn       = 1
	encryptNone     = 2
	encryptRequired = 3
)

// parsePrelogin reads the options of a prelogin.
func parsePrelogin(body []byte) (map[byte][]byte, error) {
	options := map[byte][]byte{}
	for at := 0; ; at += 5 {
		if at >= len(body) {
			return nil, fmt.Errorf("prelogin without an end: %w", errProtocol)
		}
		if body[at] == optionEnd {
			return options, nil
		}
		if at+5 > len(body) {
			return nil, fmt.Errorf("prelogin cut short: %w", errProtocol)
		}
		from, n := int(binary.BigEndian.Uint16(body[at+1:])), int(binary.BigEndian.Uint16(body[at+3:]))
		if from+n > len(body) {
			return nil, fmt.Errorf("prelogin option %d lies outside: %w", body[at], errProtocol)
		}
		options[body[at]] = body[from : from+n]
	}
}

// preloginAnswer says what the server is and that it encrypts.
func preloginAnswer(asked map[byte][]byte, encryption byte) []byte {
	options := []struct {
		name byte
		data []byte
	}{
		{optionVersion, []byte{12, 0, 0x07, 0xD0, 0, 0}}, // 12.0.2000, what Azure SQL Database calls itself
		{optionEncryption, []byte{encryption}},
		{optionInstance, []byte{0}},
		{optionThread, nil},
		{optionMARS, []byte{0}},
	}
	if _, ok := asked[optionFedAuth]; ok {
		options = append(options, struct {
			name byte
			data []byte
		}{optionFedAuth, []byte{1}})
	}
	var head, data []byte
	start := 5*len(options) + 1
	for _, o := range options {
		head = append(head, o.name)
		head = binary.BigEndian.AppendUint16(head, uint16(start+len(data)))
		head = binary.BigEndian.AppendUint16(head, uint16(len(o.data)))
		data = append(data, o.data...)
	}
	return slices.Concat(head, []byte{optionEnd}, data)
}

// Features of a login.
const (
	featureFedAuth = 0x02
	featureEnd     = 0xFF

	flagIntegrated = 0x80 // OptionFlags2
	flagExtension  = 0x10 // OptionFlags3

	librarySecurityToken = 1
	libraryADAL          = 2
)

// login7 is a login as it stands on the wire.
type login7 struct {
	packetSize                int
	host, user, password, app string
	server, database          string
	integrated                bool
	federated                 bool // signs in with a token
	fetches                   bool // gets the token itself once told where
	token                     string
}

const loginFixed = 94

// parseLogin reads a LOGIN7 message.
func parseLogin(b []byte) (login7, error) {
	var l login7
	if len(b) < loginFixed || int(binary.LittleEndian.Uint32(b)) != len(b) {
		return l, fmt.Errorf("login of %d bytes: %w", len(b), errProtocol)
	}
	if version := b[7]; version < 0x72 {
		return l, fmt.Errorf("TDS version %#x: %w", version, errProtocol)
	}
	l.packetSize = int(binary.LittleEndian.Uint32(b[8:]))
	l.integrated = b[25]&flagIntegrated != 0
	for _, f := range []struct {
		at     int
		into   *string
		secret bool
	}{{36, &l.host, false}, {40, &l.user, false}, {44, &l.password, true}, {48, &l.app, false}, {52, &l.server, false}, {68, &l.database, false}} {
		raw, err := slice(b, int(binary.LittleEndian.Uint16(b[f.at:])), 2*int(binary.LittleEndian.Uint16(b[f.at+2:])))
		if err != nil {
			return l, err
		}
		if f.secret {
			raw = reveal(raw)
		}
		*f.into = fromUCS2(raw)
	}
	if b[27]&flagExtension == 0 {
		return l, nil
	}
	return l, l.extensions(b)
}

func slice(b []byte, from, n int) ([]byte, error) {
	if from < 0 || n < 0 || from+n > len(b) {
		return nil, fmt.Errorf("field outside the message: %w", errProtocol)
	}
	return b[from : from+n], nil
}

// extensions reads the features the client asks for; those it does not know a
// server leaves unanswered.
func (l *login7) extensions(b []byte) error {
	at, err := slice(b, int(binary.LittleEndian.Uint16(b[56:])), 4)
	if err != nil {
		return err
	}
	start := int(binary.LittleEndian.Uint32(at))
	if start > len(b) {
		return fmt.Errorf("features outside the message: %w", errProtocol)
	}
	rest := b[start:]
	for len(rest) > 0 && rest[0] != featureEnd {
		if len(rest) < 5 {
			return fmt.Errorf("feature cut short: %w", errProtocol)
		}
		data, err := slice(rest, 5, int(binary.LittleEndian.Uint32(rest[1:])))
		if err != nil {
			return err
		}
		if rest[0] == featureFedAuth {
			if err := l.fedAuth(data); err != nil {
				return err
			}
		}
		rest = rest[5+len(data):]
	}
	if len(rest) == 0 {
		return fmt.Errorf("features without an end: %w", errProtocol)
	}
	return nil
}

func (l *login7) fedAuth(data []byte) error {
	if len(data) == 0 {
		return fmt.Errorf("empty federated sign-in: %w", errProtocol)
	}
	l.federated = true
	switch library := data[0] >> 1; library {
	case librarySecurityToken:
		token, err := sized(data[1:])
		l.token = fromUCS2(token)
		return err
	case libraryADAL:
		l.fetches = true
		return nil
	default:
		return fmt.Errorf("federated sign-in with library %d: %w", library, errProtocol)
	}
}

// sized reads bytes that stand behind their length.
func sized(b []byte) ([]byte, error) {
	if len(b) < 4 {
		return nil, fmt.Errorf("length cut short: %w", errProtocol)
	}
	return slice(b, 4, int(binary.LittleEndian.Uint32(b)))
}

// parseTokenMessage reads the message that hands a fetched token over.
func parseTokenMessage(b []byte) (string, error) {
	data, err := sized(b)
	if err != nil {
		return "", err
	}
	token, err := sized(data)
	return fromUCS2(token), err
}

// reveal undoes the disguise of a password on the wire. It protects nothing; TLS does.
func reveal(raw []byte) []byte {
	out := make([]byte, len(raw))
	for n, b := range raw {
		b ^= 0xA5
		out[n] = b<<4 | b>>4
	}
	return out
}

func fromUCS2(raw []byte) string {
	units := make([]uint16, len(raw)/2)
	for n := range units {
		units[n] = binary.LittleEndian.Uint16(raw[2*n:])
	}
	return string(utf16.Decode(units))
}

func toUCS2(text string) []byte {
	var out []byte
	for _, u := range utf16.Encode([]rune(text)) {
		out = binary.LittleEndian.AppendUint16(out, u)
	}
	return out
}
