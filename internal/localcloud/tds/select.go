package tds

// query reads what follows SELECT.
func (p *parser) query() (*query, error) {
	q := &query{top: -1}
	if err := p.top(q); err != nil {
		return nil, err
	}
	for {
		i, err := p.item()
		if err != nil {
			return nil, err
		}
		if q.items = append(q.items, i); !p.take(",") {
			break
		}
	}
	var err error
	if p.take("FROM") {
		err = p.sources(q)
	}
	if err == nil && p.take("WHERE") {
		q.where, err = p.condition()
	}
	if err == nil && p.take("ORDER") {
		err = p.ordering(q)
	}
	return q, err
}

func (p *parser) top(q *query) error {
	if !p.take("TOP") {
		return nil
	}
	closed := p.take("(")
	n, err := p.whole()
	if err == nil && closed {
		err = p.need(")")
	}
	q.top = int(n)
	return err
}

func (p *parser) item() (item, error) {
	if p.take("*") {
		return item{star: true}, nil
	}
	var i item
	if p.take("COUNT", "(", "*", ")") {
		i.count = true
	} else {
		e, err := p.expression()
		if err != nil {
			return i, err
		}
		i.value = e
		if c, ok := e.(column); ok {
			i.name = c.name
		}
	}
	named := p.take("AS")
	if w := p.peek(); named || w.class == className || w.class == classWord && !reserved(w.text) {
		var err error
		if i.name, err = p.name(); err != nil {
			return i, err
		}
	}
	return i, nil
}

func (p *parser) sources(q *query) error {
	s, err := p.source()
	if err != nil {
		return err
	}
	q.from = []source{s}
	for {
		left := p.take("LEFT")
		if left {
			p.take("OUTER")
		} else {
			p.take("INNER")
		}
		if !p.take("JOIN") {
			if left {
				return p.wrong()
			}
			return nil
		}
		if s, err = p.source(); err != nil {
			return err
		}
		if err := p.need("ON"); err != nil {
			return err
		}
		s.left = left
		if s.on, err = p.condition(); err != nil {
			return err
		}
		q.from = append(q.from, s)
	}
}

func (p *parser) source() (source, error) {
	o, err := p.object()
	s := source{object: o, alias: o.name}
	if err != nil {
		return s, err
	}
	named := p.take("AS")
	if w := p.peek(); named || w.class == className || w.class == classWord && !reserved(w.text) {
		s.alias, err = p.name()
	}
	return s, err
}

func (p *parser) ordering(q *query) error {
	if err := p.need("BY"); err != nil {
		return err
	}
	for {
		e, err := p.expression()
		if err != nil {
			return err
		}
		o := order{by: e, down: p.take("DESC")}
		if !o.down {
			p.take("ASC")
		}
		if q.order = append(q.order, o); !p.take(",") {
			return nil
		}
	}
}

// condition reads alternatives: OR binds least.
func (p *parser) condition() (expr, error) { return p.joined("OR", p.conjunction) }

func (p *parser) conjunction() (expr, error) { return p.joined("AND", p.negation) }

func (p *parser) joined(by string, read func() (expr, error)) (expr, error) {
	left, err := read()
	for err == nil && p.take(by) {
		var right expr
		if right, err = read(); err == nil {
			left = logic{by, left, right}
		}
	}
	return left, err
}

func (p *parser) negation() (expr, error) {
	if p.depth++; p.depth > deepest {
		return nil, fatal(191, "Some part of your SQL statement is nested too deeply. Rewrite the query or break it up into smaller queries.")
	}
	defer func() { p.depth-- }()
	if p.take("NOT") {
		e, err := p.negation()
		return negated{e}, err
	}
	if p.take("(") {
		e, err := p.condition()
		if err == nil {
			err = p.need(")")
		}
		return e, err
	}
	return p.predicate()
}

func (p *parser) predicate() (expr, error) {
	left, err := p.expression()
	if err != nil {
		return nil, err
	}
	if p.take("IS") {
		not := p.take("NOT")
		if err := p.need("NULL"); err != nil {
			return nil, err
		}
		return absent{left, not}, nil
	}
	not := p.take("NOT")
	switch {
	case p.take("IN"):
		list, err := p.list()
		return among{left, list, not}, err
	case p.take("LIKE"):
		pattern, err := p.expression()
		return alike{left, pattern, not}, err
	case not:
		return nil, p.wrong()
	}
	for _, op := range []string{"=", "<>", "!=", "<=", ">=", "<", ">"} {
		if p.take(op) {
			right, err := p.expression()
			return comparison{op, left, right}, err
		}
	}
	return nil, p.wrong()
}

// expression reads one value.
func (p *parser) expression() (expr, error) {
	switch w := p.peek(); {
	case w.class == classText:
		return literal{p.next().text}, nil
	case w.class == classHex:
		return literal{p.next().raw}, nil
	case w.class == classNumber:
		n, err := p.whole()
		return literal{n}, err
	case w.class == classParam:
		return parameter{p.next().text}, nil
	case p.take("NULL"):
		return literal{nil}, nil
	case p.take("CURRENT_USER"):
		return function{name: "USER_NAME"}, nil
	case p.take("-"):
		n, err := p.whole()
		return literal{-n}, err
	}
	name, err := p.name()
	if err != nil {
		return nil, err
	}
	switch {
	case p.take("(", ")"):
		return function{name: name}, nil
	case p.peek().is("("):
		if p.depth++; p.depth > deepest {
			return nil, fatal(191, "Some part of your SQL statement is nested too deeply. Rewrite the query or break it up into smaller queries.")
		}
		defer func() { p.depth-- }()
		args, err := p.list()
		return function{name, args}, err
	case p.take("."):
		second, err := p.name()
		return column{name, second}, err
	}
	return column{"", name}, nil
}
