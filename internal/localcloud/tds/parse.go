package tds

import (
	"slices"
	"strconv"
	"strings"
)

// reserved tells whether a bare word cannot be a name; of Transact-SQL's list those
// that statements here may meet.
func reserved(text string) bool {
	switch strings.ToUpper(text) {
	case "ADD", "ALTER", "AND", "AS", "ASC", "AUTHORIZATION", "BEGIN", "BY", "COMMIT", "CREATE", "CURRENT_USER", "DELETE", "DENY", "DESC",
		"DROP", "EXEC", "EXISTS", "EXTERNAL", "FROM", "GRANT", "IF", "IN", "INNER", "INSERT", "INTO", "IS", "JOIN", "KEY", "LEFT", "LIKE",
		"NOT", "NULL", "ON", "OR", "ORDER", "OUTER", "PRIMARY", "REVOKE", "ROLLBACK", "SCHEMA", "SELECT", "SET", "TABLE", "TO", "TOP",
		"TRANSACTION", "TRAN", "UPDATE", "USE", "USER", "VALUES", "WHERE", "WITH":
		return true
	}
	return false
}

// parser reads a batch. The first mistake ends it.
type parser struct {
	words []word
	at    int
	depth int // of parentheses and negations
}

// deepest is more nesting than anybody writes.
const deepest = 100

// parse reads a whole batch before anything of it runs.
func parse(text string) ([]statement, error) {
	words, err := lex(text)
	if err != nil {
		return nil, err
	}
	p := &parser{words: words}
	var out []statement
	for {
		for p.take(";") {
		}
		if p.peek().class == classEnd {
			return out, nil
		}
		s, err := p.statement()
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
}

func (p *parser) peek() word { return p.words[p.at] }

func (p *parser) next() word {
	w := p.words[p.at]
	if w.class != classEnd {
		p.at++
	}
	return w
}

// take skips the given words when all of them come next.
func (p *parser) take(texts ...string) bool {
	for n, text := range texts {
		if p.at+n >= len(p.words) || !p.words[p.at+n].is(text) {
			return false
		}
	}
	p.at += len(texts)
	return true
}

func (p *parser) need(texts ...string) error {
	for _, text := range texts {
		if !p.take(text) {
			return p.wrong()
		}
	}
	return nil
}

// wrong is the complaint about the word that comes next.
func (p *parser) wrong() error {
	w := p.peek()
	switch {
	case w.class == classEnd:
		last := ""
		if p.at > 0 {
			last = p.words[p.at-1].text
		}
		return fatal(102, "Incorrect syntax near '%s'.", short(last))
	case w.class == classWord && reserved(w.text):
		return fatal(156, "Incorrect syntax near the keyword '%s'.", strings.ToUpper(w.text))
	}
	return fatal(102, "Incorrect syntax near '%s'.", short(w.text))
}

func (p *parser) name() (string, error) {
	w := p.peek()
	if w.class == className || w.class == classWord && !reserved(w.text) {
		return p.next().text, nil
	}
	return "", p.wrong()
}

func (p *parser) text() (string, error) {
	if p.peek().class != classText {
		return "", p.wrong()
	}
	return p.next().text, nil
}

func (p *parser) object() (objectName, error) {
	first, err := p.name()
	if err != nil || !p.take(".") {
		return objectName{name: first}, err
	}
	second, err := p.name()
	if err == nil && p.peek().is(".") {
		return objectName{}, fatal(40515, "Reference to database and/or server name in '%s.%s' is not supported in this version of SQL Server.", first, second)
	}
	return objectName{schema: first, name: second}, err
}

// statement reads one statement by its first words.
func (p *parser) statement() (statement, error) {
	for _, form := range []struct {
		words []string
		read  func() (statement, error)
	}{
		{[]string{"CREATE", "USER"}, p.createUser}, {[]string{"DROP", "USER"}, p.dropUser},
		{[]string{"ALTER", "ROLE"}, p.alterRole}, {[]string{"ALTER", "AUTHORIZATION"}, p.alterAuthorization},
		{[]string{"GRANT"}, func() (statement, error) { return p.permit(false) }},
		{[]string{"REVOKE"}, func() (statement, error) { return p.permit(true) }},
		{[]string{"CREATE", "SCHEMA"}, p.createSchema}, {[]string{"DROP", "SCHEMA"}, p.dropSchema},
		{[]string{"CREATE", "TABLE"}, p.createTable}, {[]string{"DROP", "TABLE"}, p.dropTable},
		{[]string{"INSERT"}, p.insert}, {[]string{"DELETE"}, p.deletion},
		{[]string{"SELECT"}, func() (statement, error) { return p.query() }},
		{[]string{"SET"}, p.option}, {[]string{"USE"}, p.use},
		{[]string{"BEGIN", "TRANSACTION"}, verb("begin")}, {[]string{"BEGIN", "TRAN"}, verb("begin")},
		{[]string{"COMMIT"}, p.ending("commit")}, {[]string{"ROLLBACK"}, p.ending("rollback")},
	} {
		if p.take(form.words...) {
			return form.read()
		}
	}
	return nil, p.wrong()
}

func verb(name string) func() (statement, error) {
	return func() (statement, error) { return &transaction{name}, nil }
}

func (p *parser) ending(name string) func() (statement, error) {
	return func() (statement, error) {
		if !p.take("TRANSACTION") {
			p.take("TRAN")
		}
		return &transaction{name}, nil
	}
}

func (p *parser) createUser() (statement, error) {
	name, err := p.name()
	if err != nil {
		return nil, err
	}
	s := &createUser{name: name}
	if p.take("FROM") {
		s.external = true
		if err := p.need("EXTERNAL", "PROVIDER"); err != nil || !p.take("WITH") {
			return s, err
		}
		if err := p.need("OBJECT_ID", "="); err != nil {
			return nil, err
		}
		s.objectID, err = p.text()
		return s, err
	}
	if err := p.need("WITH", "SID", "="); err != nil {
		return nil, err
	}
	if p.peek().class != classHex {
		return nil, p.wrong()
	}
	s.sid = p.next().raw
	if err := p.need(",", "TYPE", "="); err != nil {
		return nil, err
	}
	if s.kind = strings.ToUpper(p.peek().text); s.kind != "E" && s.kind != "X" {
		return nil, p.wrong()
	}
	p.next()
	return s, nil
}

func (p *parser) ifExists() (bool, error) {
	if !p.take("IF") {
		return false, nil
	}
	return true, p.need("EXISTS")
}

func (p *parser) dropUser() (statement, error) {
	lenient, err := p.ifExists()
	if err != nil {
		return nil, err
	}
	name, err := p.name()
	return &dropUser{name, lenient}, err
}

func (p *parser) alterRole() (statement, error) {
	role, err := p.name()
	if err != nil {
		return nil, err
	}
	s := &alterRole{role: role, add: p.take("ADD")}
	if !s.add {
		err = p.need("DROP")
	}
	if err == nil {
		err = p.need("MEMBER")
	}
	if err == nil {
		s.member, err = p.name()
	}
	return s, err
}

func (p *parser) alterAuthorization() (statement, error) {
	if err := p.need("ON", "SCHEMA", "::"); err != nil {
		return nil, err
	}
	schema, err := p.name()
	if err == nil {
		err = p.need("TO")
	}
	if err != nil {
		return nil, err
	}
	to, err := p.name()
	return &alterAuthorization{schema, to}, err
}

// known permissions, longest first where one begins another.
var permissions = [][]string{
	{"VIEW", "DATABASE", "STATE"}, {"VIEW", "DEFINITION"}, {"CREATE", "TABLE"}, {"CREATE", "SCHEMA"}, {"ALTER", "ANY", "USER"}, {"ALTER"},
	{"CONTROL"}, {"CONNECT"}, {"SELECT"}, {"INSERT"}, {"UPDATE"}, {"DELETE"}, {"EXECUTE"}, {"REFERENCES"},
}

func (p *parser) permit(revoke bool) (statement, error) {
	s := &permit{revoke: revoke, on: securable{class: "DATABASE"}}
	for {
		n := slices.IndexFunc(permissions, func(words []string) bool { return p.take(words...) })
		if n < 0 {
			return nil, p.wrong()
		}
		s.permissions = append(s.permissions, strings.Join(permissions[n], " "))
		if !p.take(",") {
			break
		}
	}
	var err error
	if p.take("ON") {
		if s.on, err = p.securable(); err != nil {
			return nil, err
		}
	}
	if !p.take("TO") && (!revoke || !p.take("FROM")) {
		return nil, p.wrong()
	}
	s.principal, err = p.name()
	return s, err
}

func (p *parser) securable() (securable, error) {
	switch {
	case p.take("SCHEMA", "::"):
		name, err := p.name()
		return securable{"SCHEMA", objectName{name: name}}, err
	case p.take("DATABASE", "::"):
		name, err := p.name()
		return securable{"DATABASE", objectName{name: name}}, err
	case p.take("OBJECT", "::"):
	}
	o, err := p.object()
	return securable{"OBJECT", o}, err
}

func (p *parser) createSchema() (statement, error) {
	name, err := p.name()
	s := &createSchema{name: name}
	if err == nil && p.take("AUTHORIZATION") {
		s.owner, err = p.name()
	}
	return s, err
}

func (p *parser) dropSchema() (statement, error) {
	lenient, err := p.ifExists()
	if err != nil {
		return nil, err
	}
	name, err := p.name()
	return &dropSchema{name, lenient}, err
}

func (p *parser) createTable() (statement, error) {
	name, err := p.object()
	if err != nil {
		return nil, err
	}
	s := &createTable{name: name}
	if err := p.need("("); err != nil {
		return nil, err
	}
	for {
		c, err := p.column()
		if err != nil {
			return nil, err
		}
		s.columns = append(s.columns, c)
		if !p.take(",") {
			return s, p.need(")")
		}
	}
}

func (p *parser) column() (Column, error) {
	name, err := p.name()
	if err != nil {
		return Column{}, err
	}
	kind := strings.ToLower(p.peek().text)
	if p.peek().class != classWord || !slices.Contains([]string{"int", "bigint", "bit", "nvarchar", "varbinary"}, kind) {
		return Column{}, fatal(2715, "Column, parameter, or variable #1: Cannot find data type %s.", short(p.peek().text))
	}
	p.next()
	c := Column{Name: name, Type: kind}
	if p.take("(") {
		if w := p.next(); w.class != classNumber && !w.is("max") {
			return c, fatal(102, "Incorrect syntax near '%s'.", short(w.text))
		}
		if err := p.need(")"); err != nil {
			return c, err
		}
	}
	for {
		switch {
		case p.take("NOT", "NULL"):
			c.Required = true
		case p.take("PRIMARY", "KEY"):
			c.Key, c.Required = true, true
		case p.take("NULL"):
		default:
			return c, nil
		}
	}
}

func (p *parser) dropTable() (statement, error) {
	lenient, err := p.ifExists()
	if err != nil {
		return nil, err
	}
	name, err := p.object()
	return &dropTable{name, lenient}, err
}

func (p *parser) insert() (statement, error) {
	p.take("INTO")
	name, err := p.object()
	if err != nil {
		return nil, err
	}
	s := &insert{into: name}
	if p.take("(") {
		for {
			column, err := p.name()
			if err != nil {
				return nil, err
			}
			if s.columns = append(s.columns, column); !p.take(",") {
				break
			}
		}
		if err := p.need(")"); err != nil {
			return nil, err
		}
	}
	if err := p.need("VALUES"); err != nil {
		return nil, err
	}
	for {
		row, err := p.list()
		if err != nil {
			return nil, err
		}
		if s.rows = append(s.rows, row); !p.take(",") {
			return s, nil
		}
	}
}

// list reads expressions in parentheses.
func (p *parser) list() ([]expr, error) {
	if err := p.need("("); err != nil {
		return nil, err
	}
	var out []expr
	for {
		e, err := p.expression()
		if err != nil {
			return nil, err
		}
		if out = append(out, e); !p.take(",") {
			return out, p.need(")")
		}
	}
}

func (p *parser) deletion() (statement, error) {
	p.take("FROM")
	name, err := p.object()
	s := &deletion{from: name}
	if err == nil && p.take("WHERE") {
		s.where, err = p.condition()
	}
	return s, err
}

// option reads SET of what drivers switch on their own account.
func (p *parser) option() (statement, error) {
	switch name := strings.ToUpper(p.next().text); name {
	case "NOCOUNT", "ANSI_NULLS", "ANSI_PADDING", "ANSI_WARNINGS", "ARITHABORT", "CONCAT_NULL_YIELDS_NULL", "QUOTED_IDENTIFIER",
		"ANSI_NULL_DFLT_ON", "CURSOR_CLOSE_ON_COMMIT", "IMPLICIT_TRANSACTIONS", "XACT_ABORT":
		if !p.take("ON") && !p.take("OFF") {
			return nil, p.wrong()
		}
	case "TEXTSIZE", "LOCK_TIMEOUT", "ROWCOUNT":
		p.take("-")
		if p.next().class != classNumber {
			p.at--
			return nil, p.wrong()
		}
	default:
		p.at--
		return nil, p.wrong()
	}
	return &quiet{}, nil
}

func (p *parser) use() (statement, error) {
	name, err := p.name()
	return &use{name}, err
}

// whole reads a number that is written out.
func (p *parser) whole() (int64, error) {
	if p.peek().class != classNumber {
		return 0, p.wrong()
	}
	n, err := strconv.ParseInt(p.next().text, 10, 64)
	if err != nil {
		return 0, fatal(1007, "The number is out of the range for numeric representation.")
	}
	return n, nil
}
