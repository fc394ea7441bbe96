package catalog

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Target is one file of the catalog.
type Target struct {
	Name       string              `yaml:"name"`                 // postgres-flexible
	Display    string              `yaml:"display"`              // for people
	Status     string              `yaml:"status"`               // empty when connections can be made, else StatusPreview
	Notes      []string            `yaml:"notes"`                // what a user of the target should know, for its page
	Protocol   string              `yaml:"protocol"`             // which probe knocks
	StringType string              `yaml:"connectionStringType"` // App Service's word for its connection strings; Custom when empty
	Namespace  string              `yaml:"namespace"`
	APIVersion string              `yaml:"apiVersion"`
	ID         []Part              `yaml:"id"`        // the tail of its ARM id, outermost first
	Kinds      []string            `yaml:"kinds"`     // kinds of the account, where several targets have one id; AnyKind takes the rest
	Types      []string            `yaml:"types"`     // words of targetService.type, where there is no ARM id; one linker each
	Linkers    []Linker            `yaml:"linkers"`   // how the command line asks for each, where it is not by one address
	Schemes    []string            `yaml:"schemes"`   // of the address of such a target, where they tell targets of one type apart
	Example    string              `yaml:"example"`   // such an address, for people
	Like       *Like               `yaml:"like"`      // the target whose settings it has as well
	Given      map[string]string   `yaml:"given"`     // facts that come with the request, with help
	Asked      map[string]string   `yaml:"asked"`     // of these, those that come as further options of connection strings, with the option's name
	Resources  map[string]Resource `yaml:"resources"` // what is read
	Facts      map[string]Place    `yaml:"facts"`
	Keys       map[string]KeyPlace `yaml:"keys"`    // secret facts that an action hands out
	Derived    map[string]Derived  `yaml:"derived"` // facts taken out of other facts
	Preview    Preview             `yaml:"preview"`

	Stopped         *Stopped `yaml:"stopped"`
	PublicAccess    Switch   `yaml:"publicAccess"` // all public traffic is denied
	KeyAccess       Switch   `yaml:"keyAccess"`    // passwords or keys do not work
	Firewall        *Wall    `yaml:"firewall"`
	ServiceEndpoint string   `yaml:"serviceEndpoint"` // what a subnet must offer; empty when there is no such way in
	PrivateLink     []string `yaml:"privateLink"`     // group ids of its private endpoints

	Audience string    `yaml:"audience"` // kind of resource an identity's token is made for
	Roles    Roles     `yaml:"roles"`
	Access   *Access   `yaml:"access"`
	Features []Feature `yaml:"features"` // switches an identity needs
	DBUser   *DBUser   `yaml:"dbuser"`
	Keeps    *Keeps    `yaml:"keeps"` // what it can keep for connections to other targets

	Auth    map[string]Auth   `yaml:"auth"`
	Clients []string          `yaml:"clients"`
	Without []Gap             `yaml:"without"`
	Forms   map[string]string `yaml:"forms"` // special connections with settings of their own, with what they are
	Rules   []Rule            `yaml:"settings"`

	Bindings []Binding `yaml:"bindings"` // of function apps
}

// StatusPreview marks a target whose settings are known, but that no connection
// can be made to.
const StatusPreview = "preview"

// AnyKind among a target's kinds stands for every kind that no other target names.
const AnyKind = "*"

// Linker is one of the connections a target without an ARM id takes, in the words of the
// command line.
type Linker struct {
	Type     string `yaml:"type"`
	Suffix   string `yaml:"suffix"`   // of the connection's name
	Endpoint string `yaml:"endpoint"` // option for the address
	Help     string `yaml:"help"`
	Name     string `yaml:"name"`   // option for the user's name, where each linker has its own
	Secret   string `yaml:"secret"` // and for the password
}

// Part is one type and name of the id.
type Part struct {
	Type    string `yaml:"type"`
	Fact    string `yaml:"fact"`    // what the name is called in templates
	Fixed   string `yaml:"fixed"`   // the only name there is
	Option  string `yaml:"option"`  // of the command line, without dashes
	Help    string `yaml:"help"`    // of that option
	Default string `yaml:"default"` // what stands for it when it is not given
	Pattern string `yaml:"pattern"` // what the name must look like
}

// Resource is one thing that is read: the first Depth parts of the id, or a collection below.
type Resource struct {
	Depth   int    `yaml:"depth"`
	Child   string `yaml:"child"`
	Network bool   `yaml:"network"` // matters only when the network is ours to open
}

// Keeps says what a target keeps for other connections of a source that is connected to
// it, and what lets the engine write there: a role, or a policy where it goes by those.
type Keeps struct {
	What   string `yaml:"what"` // secrets or settings
	Role   string `yaml:"role"`
	Policy string `yaml:"policy"`
}

// What a target can keep.
const (
	KeepsSecrets  = "secrets"
	KeepsSettings = "settings"
)

// Place is a member of a resource's JSON: names and indexes between dots.
type Place struct {
	Of     string `yaml:"of"`
	At     string `yaml:"at"`
	Needed bool   `yaml:"needed"`
	Else   string `yaml:"else"` // what holds when the member is absent
}

// KeyPlace is a member of an action's answer.
type KeyPlace struct {
	Of     string `yaml:"of"`
	Action string `yaml:"action"`
	At     string `yaml:"at"`
	Open   bool   `yaml:"open"` // no secret, though it comes with one
}

// Derived is the first group of a pattern that matches all of another fact, where
// the fact is not known otherwise. The pattern may hold placeholders. What is taken
// out of a secret is secret.
type Derived struct {
	From  string `yaml:"from"`
	Match string `yaml:"match"`
	Else  string `yaml:"else"` // what holds when the other fact is known and does not match
}

// Like takes the rows of another target for the auth and client types that both have.
// They lose what they tell of the documentation: it is about the other target.
type Like struct {
	Target string `yaml:"target"`
	Form   string `yaml:"form"` // one of that target's forms or types; empty for its ordinary connection
	Swap   []Swap `yaml:"swap"` // in the templates of its rows, in this order
}

// Swap puts one text in the place of another.
type Swap struct {
	From string `yaml:"from"`
	To   string `yaml:"to"`
}

// Preview says how facts follow from names and the cloud's suffix where no cloud is
// asked. A fact's templates may name {suffix}, the words of the cloud, the names
// below and other facts.
type Preview struct {
	Suffix string                       `yaml:"suffix"` // kind of host suffix
	Clouds map[string]map[string]string `yaml:"clouds"` // by cloud, further words
	Names  map[string]string            `yaml:"names"`  // names asked for in a preview only, with help
	Facts  map[string]Templates         `yaml:"facts"`  // the last template says what to ask for
}

// Stopped tells a stopped target by its state and the action that starts it.
type Stopped struct {
	Fact   string   `yaml:"fact"`
	Values []string `yaml:"values"`
	Of     string   `yaml:"of"`
	Action string   `yaml:"action"`
}

// Switch is a fact with the word that means off. No fact means the target has no such switch.
type Switch struct {
	Fact string `yaml:"fact"`
	Off  string `yaml:"off"`
}

// Styles of a firewall.
const (
	StyleRules     = "rules"     // named child resources
	StyleAddresses = "addresses" // entries of an array on the resource
	StyleRuleSet   = "ruleset"   // entries of the one rule set below the resource
)

// Wall is the target's firewall and when opening it matters.
type Wall struct {
	Style    string    `yaml:"style"`
	Of       string    `yaml:"of"`
	When     Condition `yaml:"when"`
	Regional bool      `yaml:"regional"` // its rules do nothing for traffic from its own region
}

// Condition holds when a fact has a value, or any value when Is is empty.
type Condition struct {
	Fact string `yaml:"fact"`
	Is   string `yaml:"is"`
}

// Roles are what an identity gets by default, and the names people may choose from.
type Roles struct {
	Of      string   `yaml:"of"`
	Default []string `yaml:"default"`
	Known   []Role   `yaml:"known"`
}

// Role is one role definition.
type Role struct {
	Name string `yaml:"name"`
	ID   string `yaml:"id"` // GUID
}

// Access is a grant that is not Azure RBAC; the first policy is the default.
type Access struct {
	Of       string    `yaml:"of"`
	Policies []string  `yaml:"policies"`
	When     Condition `yaml:"when"`     // instead of roles when it holds; without a condition always
	Optional bool      `yaml:"optional"` // only where a policy is asked for, instead of the default roles
	Child    string    `yaml:"child"`    // the collection of grants below Of, where its type alone does not tell which
}

// Feature is a switch on the target.
type Feature struct {
	Of    string `yaml:"of"`
	Name  string `yaml:"name"`
	Value string `yaml:"value"`
}

// DBUser names the facts a database user is made from.
type DBUser struct {
	Of       string `yaml:"of"`
	In       string `yaml:"in"` // the resource that holds its own users; empty when the server holds them
	Host     string `yaml:"host"`
	Database string `yaml:"database"`
	Owner    string `yaml:"owner"`
	// Grants are what a user may get inside the database, the default first.
	Grants []string `yaml:"grants"`
}

// Auth is how one auth type works with the target.
type Auth struct {
	Given bool     `yaml:"given"` // the user gives name and password
	Whole bool     `yaml:"whole"` // what is given is a whole connection string, without a name
	Key   string   `yaml:"key"`   // the fact that is the fetched key
	With  []string `yaml:"with"`  // further facts out of the same answer
	As    string   `yaml:"as"`    // the auth type whose settings it gets
	// Permissions choose among keys, the narrowest first; the last serves where none are asked for.
	Permissions []Permission `yaml:"permissions"`
	// Rule is where the holders of keys are listed, for actions that leave open whose key it is.
	Rule *KeyRule `yaml:"rule"`
}

// RuleHole stands in an action for the name of the rule that holds just the permissions
// asked for.
const RuleHole = "{rule}"

// KeyRule is a list of named keys, each with the rights it holds.
type KeyRule struct {
	Of     string `yaml:"of"`
	Child  string `yaml:"child"`
	Rights string `yaml:"rights"` // where an entry says what its key may do
	Make   string `yaml:"make"`   // the command that makes one, but for name and rights
}

// Permission is the key that holds some permissions and no more.
type Permission struct {
	Names []string            `yaml:"names"`
	Keys  map[string]KeyPlace `yaml:"keys"` // where the facts of the key come from
}

// Covers tells whether the key holds every permission asked for.
func (p Permission) Covers(asked []string) bool {
	for _, name := range asked {
		if !slices.ContainsFunc(p.Names, func(n string) bool { return strings.EqualFold(n, name) }) {
			return false
		}
	}
	return true
}

// Gap says why some pairs have no settings.
type Gap struct {
	Auth    []string `yaml:"auth"`
	Clients []string `yaml:"clients"`
	Why     string   `yaml:"why"`
}

// Rule is the rows of some auth types and client types.
type Rule struct {
	Auth    []string `yaml:"auth"`
	Clients []string `yaml:"clients"`
	Form    string   `yaml:"form"` // one of the target's forms or types; empty for the ordinary connection
	Rows    []Row    `yaml:"rows"`
}

// Row is one setting.
type Row struct {
	Name    string    `yaml:"name"`
	Grammar string    `yaml:"grammar"` // notation of the value; empty means a plain value
	Value   Templates `yaml:"value"`
	Kind    string    `yaml:"kind"`    // only where it does not follow from the placeholders
	Variant string    `yaml:"variant"` // which generation of a library reads it
	Differs *Differs  `yaml:"differs"` // where the documentation has something else
}

// Differs is what the documentation has in a row's place, in its own placeholders.
type Differs struct {
	Name       string `yaml:"name"`       // empty when it is the same
	Documented string `yaml:"documented"` // value; empty when it is the same
	Why        string `yaml:"why"`
}

// Templates are ways to write one value: the first whose facts are all known is taken.
type Templates []string

// UnmarshalYAML accepts one template or a list of them.
func (t *Templates) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		*t = Templates{node.Value}
		return nil
	}
	var list []string
	if err := node.Decode(&list); err != nil {
		return fmt.Errorf("read templates: %w", err)
	}
	*t = list
	return nil
}
