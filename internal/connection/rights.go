package connection

// Right is one management action on one scope, such as
// Microsoft.Web/sites/config/write on a site's id. Drivers name the rights they
// need, engine and server check them before the first write.
type Right struct {
	Action string
	Scope  string
}

// AttrMark is the uid of the connection a facet is written for. Drivers put it
// where the written thing has room for it and State reports it as Mark; it is not
// part of what must be true, so it is never compared.
const AttrMark = "mark"
