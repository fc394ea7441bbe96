package api

import "slices"

// kind is the JSON type of a member.
type kind int

const (
	text   kind = iota // string
	flag               // boolean
	list               // array of strings
	texts              // object of strings
	object             // object of the member's shape
	rows               // array of objects of the member's shape
)

var kindNames = [...]string{"a string", "true or false", "an array of strings", "an object of strings", "an object", "an array of objects"}

// word is one value of an open enumeration and the version it came with.
type word struct {
	text  string
	since Version
}

// rule is what holds for a member besides its type.
type rule uint

const (
	readOnly     rule = 1 << iota // answered, ignored in requests
	writeOnly                     // taken, never answered
	required                      // must be there and not null
	sticky                        // null in a PATCH means unchanged
	blankIsNone                   // an empty string counts as absent
	blankRemoves                  // an object whose tag or type is "" removes the member
	quiet                         // left out when unset even where other members are null
)

// member is one property of a shape.
type member struct {
	name  string
	kind  kind
	since Version
	rules rule
	words []word
	shape *shape
	about string
}

func (m member) is(r rule) bool { return m.rules&r != 0 }

// shape is an object of the wire. With a tag it comes in variants, told apart by
// the tag's word; a word nobody knows has the common members only.
type shape struct {
	name     string
	about    string
	tag      string
	members  []member
	variants []variant
}

type variant struct {
	word    string
	since   Version
	members []member
}

// of returns the members an object with this tag word has in a version.
func (s *shape) of(v Version, tagWord string) []member {
	all := slices.Clone(s.members)
	for _, variant := range s.variants {
		if variant.word == tagWord && v.has(variant.since) {
			all = append(all, variant.members...)
		}
	}
	return slices.DeleteFunc(all, func(m member) bool { return !v.has(m.since) })
}

// ever returns the members of the newest version.
func (s *shape) ever(tagWord string) []member { return s.of(Newest, tagWord) }

// tagOf returns the word that selects the variant of a value.
func (s *shape) tagOf(value map[string]any) string {
	tag, _ := value[s.tag].(string)
	return tag
}

// since makes words that came with one version.
func since(v Version, texts ...string) []word {
	words := make([]word, len(texts))
	for i, t := range texts {
		words[i] = word{text: t, since: v}
	}
	return words
}

func base(texts ...string) []word { return since(V20220501, texts...) }
