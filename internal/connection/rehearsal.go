package connection

// Rehearsal is what a dryrun found: what stands in the way, and what would be done.
type Rehearsal struct {
	// For is the connection that was rehearsed, by id.
	For           string         `json:"for"`
	Prerequisites []Prerequisite `json:"prerequisites,omitempty"`
	Previews      []Preview      `json:"previews,omitempty"`
}

// Prerequisite is one thing that stands in the way: an error, or rights that somebody lacks.
type Prerequisite struct {
	Code, Message string // of an error; empty for rights
	Scope         string
	Actions       []string
	Role          string // a built-in role that holds the actions, "" when none is known
}

// Preview is one write the connection would make.
type Preview struct {
	Name        string
	Type        string // configConnection, configNetwork, configAuth
	Description string
	Action      string // management action
	Scope       string
}
