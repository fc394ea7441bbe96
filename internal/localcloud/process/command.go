package process

import (
	"encoding/json"
	"errors"
	"strings"
)

var (
	errQuote     = errors.New("a quote is not closed")
	errBackslash = errors.New("it ends in a backslash")
	errArray     = errors.New("it starts with [ but is not a JSON array of strings")
	errNUL       = errors.New("it holds a NUL character")
)

// Split splits a command line into words the way a shell does, without
// expanding anything; a JSON array of strings is taken as the words themselves.
func Split(line string) ([]string, error) {
	trimmed := strings.TrimSpace(line)
	if strings.ContainsRune(trimmed, 0) {
		return nil, errNUL
	}
	if strings.HasPrefix(trimmed, "[") {
		var words []string
		if err := json.Unmarshal([]byte(trimmed), &words); err != nil || strings.Contains(strings.Join(words, ""), "\x00") {
			return nil, errArray
		}
		return words, nil
	}
	s := splitter{rest: trimmed}
	for s.rest != "" {
		if err := s.step(); err != nil {
			return nil, err
		}
	}
	s.flush()
	return s.words, nil
}

type splitter struct {
	rest  string
	words []string
	word  strings.Builder
	open  bool // a word has begun, if only with an empty quote
}

func (s *splitter) flush() {
	if s.open {
		s.words = append(s.words, s.word.String())
	}
	s.word.Reset()
	s.open = false
}

// step takes one character, escape or quoted part off the rest.
func (s *splitter) step() error {
	c := s.rest[0]
	s.rest = s.rest[1:]
	switch c {
	case ' ', '\t', '\n', '\r':
		s.flush()
		return nil
	case '\'':
		return s.single()
	case '"':
		return s.double()
	case '\\':
		if s.rest == "" {
			return errBackslash
		}
		c, s.rest = s.rest[0], s.rest[1:]
		if c == '\n' {
			return nil // a continued line
		}
	}
	s.open = true
	s.word.WriteByte(c)
	return nil
}

func (s *splitter) single() error {
	part, after, ok := strings.Cut(s.rest, "'")
	if !ok {
		return errQuote
	}
	s.open, s.rest = true, after
	s.word.WriteString(part)
	return nil
}

func (s *splitter) double() error {
	s.open = true
	for s.rest != "" {
		c := s.rest[0]
		s.rest = s.rest[1:]
		if c == '"' {
			return nil
		}
		if c == '\\' && s.rest != "" && strings.ContainsRune("\"\\$`\n", rune(s.rest[0])) {
			c, s.rest = s.rest[0], s.rest[1:]
			if c == '\n' {
				continue
			}
		}
		s.word.WriteByte(c)
	}
	return errQuote
}
