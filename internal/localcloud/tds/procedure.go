package tds

import (
	"regexp"
	"slices"
	"strings"
)

// procedure runs a remote procedure call.
func (c *session) procedure(r *reply, body []byte) error {
	p, err := parseCall(body)
	if err != nil {
		return err
	}
	if p.number == 0 {
		p.number = map[string]int{"sp_executesql": procExecuteSQL, "sp_prepare": procPrepare, "sp_execute": procExecute,
			"sp_prepexec": procPrepExec, "sp_unprepare": procUnprepare}[p.name]
	}
	well := false
	switch p.number {
	case procExecuteSQL:
		well = c.executeSQL(r, p.params)
	case procPrepExec:
		well = c.prepExec(r, p.params)
	case procExecute:
		well = c.executePrepared(r, p.params)
	case procUnprepare:
		if well = len(p.params) == 1; well {
			delete(c.prepared, handleOf(p.params[0].value))
		}
	default:
		well = c.property(r, p)
	}
	status, code := uint16(0), uint32(0)
	if !well {
		status, code = doneError, 1
	}
	r.returnStatus(code)
	r.done(tokenDoneProc, status, 0)
	return nil
}

func (c *session) wrongCall(r *reply, name string) bool {
	r.refuse(fatal(8144, "Procedure or function %s has too many or too few arguments, or some of the wrong type.", name))
	return false
}

// executeSQL takes the statement, the declaration of its parameters and their values.
func (c *session) executeSQL(r *reply, params []param) bool {
	if len(params) == 0 {
		return c.wrongCall(r, "sp_executesql")
	}
	text, ok := params[0].value.(string)
	if !ok {
		return c.wrongCall(r, "sp_executesql")
	}
	declared, values := "", []param(nil)
	if len(params) > 1 {
		declared, _ = params[1].value.(string)
		values = params[2:]
	}
	return c.execute(r, text, arguments(declared, values), tokenDoneInProc)
}

// separator stands between a declaration and a text kept under one handle; no text
// of a batch can hold it.
const separator = "\x00"

func (c *session) prepExec(r *reply, params []param) bool {
	if len(params) < 3 {
		return c.wrongCall(r, "sp_prepexec")
	}
	declared, _ := params[1].value.(string)
	text, ok := params[2].value.(string)
	if !ok {
		return c.wrongCall(r, "sp_prepexec")
	}
	c.handles++
	c.prepared[c.handles] = declared + separator + text
	well := c.execute(r, text, arguments(declared, params[3:]), tokenDoneInProc)
	r.handle(params[0].name, c.handles)
	return well
}

func (c *session) executePrepared(r *reply, params []param) bool {
	if len(params) == 0 {
		return c.wrongCall(r, "sp_execute")
	}
	kept, ok := c.prepared[handleOf(params[0].value)]
	if !ok {
		r.refuse(fatal(8179, "Could not find prepared statement with handle %d.", handleOf(params[0].value)))
		return false
	}
	declared, text, _ := strings.Cut(kept, separator)
	return c.execute(r, text, arguments(declared, params[1:]), tokenDoneInProc)
}

func handleOf(v any) uint32 {
	n, _ := v.(int64)
	return uint32(n)
}

var parameterNames = regexp.MustCompile(`@[\pL\pN_@#$]+`)

// arguments gives values their names: those they came with, or in the order of the
// declaration.
func arguments(declared string, values []param) map[string]any {
	names := parameterNames.FindAllString(strings.ToLower(declared), -1)
	out := map[string]any{}
	for n, p := range values {
		switch {
		case p.name != "":
			out[p.name] = p.value
		case n < len(names):
			out[names[n]] = p.value
		}
	}
	return out
}

// property runs the procedures that keep notes on a user.
func (c *session) property(r *reply, p call) bool {
	if !slices.Contains([]string{"sp_addextendedproperty", "sp_updateextendedproperty", "sp_dropextendedproperty"}, p.name) {
		r.refuse(fatal(2812, "Could not find stored procedure '%s'.", short(p.name)))
		return false
	}
	args := map[string]string{}
	for _, one := range p.params {
		args[one.name], _ = one.value.(string)
	}
	c.db.mu.Lock()
	defer c.db.mu.Unlock()
	if err := c.note(p.name, args); err != nil {
		r.refuse(err)
		return false
	}
	c.db.changed()
	return true
}

func (c *session) note(verb string, args map[string]string) *Error {
	user := c.db.principal(args["@level0name"])
	if !strings.EqualFold(args["@level0type"], "USER") || user == nil || args["@name"] == "" || !c.governs() {
		return failure(15135, "Object is invalid. Extended properties are not permitted on '%s', or the object does not exist.", args["@level0name"])
	}
	list := &c.db.state.Properties
	at := slices.IndexFunc(*list, func(x Property) bool { return x.Principal == user.ID && strings.EqualFold(x.Name, args["@name"]) })
	add := verb == "sp_addextendedproperty"
	switch {
	case add && at >= 0:
		return failure(15233, "Property cannot be added. Property '%s' already exists for '%s'.", args["@name"], user.Name)
	case !add && at < 0:
		return failure(15217, "Cannot update or delete the property. Property '%s' does not exist for '%s'.", args["@name"], user.Name)
	case add:
		*list = append(*list, Property{user.ID, args["@name"], args["@value"]})
	case verb == "sp_updateextendedproperty":
		(*list)[at].Value = args["@value"]
	default:
		*list = slices.Delete(*list, at, at+1)
	}
	return nil
}

// call evaluates a built-in function.
func (c *session) call(name string, args []any) (any, error) {
	text := func(n int) string {
		if n >= len(args) {
			return ""
		}
		s, _ := args[n].(string)
		return s
	}
	user := c.db.principal(c.account.User)
	switch upper := strings.ToUpper(name); {
	case (upper == "SUSER_SNAME" || upper == "ORIGINAL_LOGIN") && len(args) == 0:
		return c.account.Login, nil
	case (upper == "USER_NAME" || upper == "SESSION_USER") && len(args) == 0:
		return c.account.User, nil
	case upper == "USER_NAME" && len(args) == 1:
		if id, ok := args[0].(int64); ok {
			if p := c.db.byID(int(id)); p != nil {
				return p.Name, nil
			}
		}
		return nil, nil
	case upper == "DB_NAME" && len(args) == 0:
		return c.db.name, nil
	case upper == "DATABASE_PRINCIPAL_ID" && len(args) <= 1:
		if len(args) == 1 {
			user = c.db.principal(text(0))
		}
		if user == nil {
			return nil, nil
		}
		return int64(user.ID), nil
	case upper == "IS_MEMBER" && len(args) == 1, upper == "IS_ROLEMEMBER" && len(args) == 1:
		return c.member(user, text(0)), nil
	case upper == "IS_ROLEMEMBER" && len(args) == 2:
		return c.member(c.db.principal(text(1)), text(0)), nil
	}
	return nil, fatal(195, "'%s' is not a recognized built-in function name, or does not take these arguments here.", name)
}

func (c *session) member(user *Principal, role string) any {
	wanted := c.db.principal(role)
	switch {
	case user == nil || wanted == nil || wanted.Type != typeRole:
		return nil
	case user.Name == Owner && wanted.Name == "db_owner":
		return int64(1)
	}
	return bit(c.db.inRole(user, role))
}
