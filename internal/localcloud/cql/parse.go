package cql

// Verbs of statements.
const (
	verbUse          = "use"
	verbSelect       = "select"
	verbInsert       = "insert"
	verbUpdate       = "update"
	verbDelete       = "delete"
	verbMakeKeyspace = "create keyspace"
	verbMakeTable    = "create table"
	verbDropKeyspace = "drop keyspace"
	verbDropTable    = "drop table"
)

// statement is one parsed statement.
type statement struct {
	verb      string
	keyspace  string // "" means the session's
	table     string
	columns   []string // of a select; none means all
	count     bool     // select count(*)
	set       []pair   // of an insert or an update
	where     []pair
	limit     int // 0 means none
	filtering bool
	lenient   bool     // IF EXISTS, IF NOT EXISTS
	defined   []column // of a new table
	partition []string
	cluster   []string
	binds     int // how many question marks
}

// pair is a column and the term it is compared or set to.
type pair struct {
	name string
	term token
	bind int // which question mark stands there; -1 for a literal
}

// parser goes through the tokens; the first mistake stays.
type parser struct {
	tokens []token
	at     int
	binds  int
	err    error
}

// parse reads one statement.
func parse(text string) (*statement, error) {
	tokens, err := lex(text)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens}
	s := &statement{}
	p.statement(s)
	p.accept(";")
	if p.err == nil && p.peek().kind != tokenEnd {
		p.fail()
	}
	s.binds = p.binds
	return s, p.err
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) next() token {
	t := p.tokens[p.at]
	if t.kind != tokenEnd {
		p.at++
	}
	return t
}

func (p *parser) fail() {
	if p.err == nil {
		p.err = refuse(errSyntax, "line 1: mismatched input '%s'", p.peek().text)
	}
}

// accept takes keywords or marks if all of them come next.
func (p *parser) accept(words ...string) bool {
	for n, w := range words {
		if p.at+n >= len(p.tokens) || !p.tokens[p.at+n].is(w) {
			return false
		}
	}
	p.at += len(words)
	return true
}

func (p *parser) expect(words ...string) {
	if !p.accept(words...) {
		p.fail()
	}
}

func (p *parser) name() string {
	if t := p.peek(); t.kind == tokenWord || t.kind == tokenQuoted {
		return p.next().text
	}
	p.fail()
	return ""
}

// place reads a table's name with or without its keyspace.
func (p *parser) place(s *statement) {
	s.table = p.name()
	if p.accept(".") {
		s.keyspace, s.table = s.table, p.name()
	}
}

func (p *parser) statement(s *statement) {
	for _, v := range []struct {
		words []string
		verb  string
		read  func(*statement)
	}{
		{[]string{"use"}, verbUse, func(s *statement) { s.keyspace = p.name() }},
		{[]string{"select"}, verbSelect, p.selection},
		{[]string{"insert", "into"}, verbInsert, p.insertion},
		{[]string{"update"}, verbUpdate, p.updating},
		{[]string{"delete", "from"}, verbDelete, p.deletion},
		{[]string{"create", "keyspace"}, verbMakeKeyspace, p.newKeyspace},
		{[]string{"create", "table"}, verbMakeTable, p.newTable},
		{[]string{"drop", "keyspace"}, verbDropKeyspace, func(s *statement) { s.lenient = p.accept("if", "exists"); s.keyspace = p.name() }},
		{[]string{"drop", "table"}, verbDropTable, func(s *statement) { s.lenient = p.accept("if", "exists"); p.place(s) }},
	} {
		if p.accept(v.words...) {
			s.verb = v.verb
			v.read(s)
			return
		}
	}
	p.fail()
}

func (p *parser) selection(s *statement) {
	switch {
	case p.accept("*"):
	case p.accept("count", "(", "*", ")"):
		s.count = true
	default:
		for ok := true; ok && p.err == nil; ok = p.accept(",") {
			s.columns = append(s.columns, p.name())
		}
	}
	p.expect("from")
	p.place(s)
	if p.accept("where") {
		s.where = p.pairs("and")
	}
	if p.accept("limit") {
		t := p.next()
		for _, digit := range t.text {
			if t.kind != tokenNumber || digit < '0' || digit > '9' || s.limit > 1<<20 {
				p.fail()
				return
			}
			s.limit = s.limit*10 + int(digit-'0')
		}
		if s.limit == 0 {
			p.err = refuse(errInvalid, "LIMIT must be strictly positive")
		}
	}
	s.filtering = p.accept("allow", "filtering")
}

// pairs reads name = term, again after each separator.
func (p *parser) pairs(separator string) []pair {
	var out []pair
	for ok := true; ok && p.err == nil; ok = p.accept(separator) {
		name := p.name()
		p.expect("=")
		out = append(out, p.term(name))
	}
	return out
}

func (p *parser) term(name string) pair {
	if p.accept("?") {
		p.binds++
		return pair{name: name, bind: p.binds - 1}
	}
	switch t := p.peek(); {
	case t.kind == tokenString, t.kind == tokenNumber, t.kind == tokenUUID, t.kind == tokenBlob, t.is("true"), t.is("false"), t.is("null"):
		return pair{name: name, term: p.next(), bind: -1}
	}
	p.fail()
	return pair{}
}

func (p *parser) insertion(s *statement) {
	p.place(s)
	p.expect("(")
	var names []string
	for ok := true; ok && p.err == nil; ok = p.accept(",") {
		names = append(names, p.name())
	}
	p.expect(")")
	p.expect("values", "(")
	for n := 0; p.err == nil; n++ {
		if n == len(names) {
			p.err = refuse(errInvalid, "Unmatched column names/values")
			return
		}
		s.set = append(s.set, p.term(names[n]))
		if !p.accept(",") {
			break
		}
	}
	p.expect(")")
	if p.err == nil && len(s.set) != len(names) {
		p.err = refuse(errInvalid, "Unmatched column names/values")
	}
}

func (p *parser) updating(s *statement) {
	p.place(s)
	p.expect("set")
	s.set = p.pairs(",")
	p.expect("where")
	s.where = p.pairs("and")
}

func (p *parser) deletion(s *statement) {
	p.place(s)
	p.expect("where")
	s.where = p.pairs("and")
}

func (p *parser) newKeyspace(s *statement) {
	s.lenient = p.accept("if", "not", "exists")
	s.keyspace = p.name()
	p.expect("with")
	p.options()
}

// options reads what stands behind WITH. It changes nothing here: one node keeps one copy.
func (p *parser) options() {
	for ok := true; ok && p.err == nil; ok = p.accept("and") {
		p.name()
		p.expect("=")
		if !p.accept("{") {
			p.term("")
			continue
		}
		for !p.accept("}") && p.err == nil {
			p.term("")
			p.expect(":")
			p.term("")
			p.accept(",")
		}
	}
}

func (p *parser) newTable(s *statement) {
	s.lenient = p.accept("if", "not", "exists")
	p.place(s)
	p.expect("(")
	for ok := true; ok && p.err == nil; ok = p.accept(",") {
		if p.accept("primary", "key") {
			p.primaryKey(s)
			continue
		}
		c := column{name: p.name()}
		word := p.name()
		if c.kind, ok = kinds[word]; !ok {
			if p.err == nil {
				p.err = refuse(errInvalid, "Unknown type %s", word)
			}
			return
		}
		s.defined = append(s.defined, c)
		if p.accept("primary", "key") {
			s.partition = append(s.partition, c.name)
		}
	}
	p.expect(")")
	if p.accept("with") {
		p.options()
	}
}

// primaryKey reads ((a, b), c) or (a, c): what rows are found by, and what orders them.
func (p *parser) primaryKey(s *statement) {
	p.expect("(")
	if p.accept("(") {
		for ok := true; ok && p.err == nil; ok = p.accept(",") {
			s.partition = append(s.partition, p.name())
		}
		p.expect(")")
	} else {
		s.partition = append(s.partition, p.name())
	}
	for p.accept(",") && p.err == nil {
		s.cluster = append(s.cluster, p.name())
	}
	p.expect(")")
}
