package catalog

import (
	"fmt"
	"slices"
	"strings"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

// Cloud is what a preview takes from a cloud instead of asking it.
type Cloud struct {
	Name       string
	Management string            // address of its resource manager, without a slash at its end
	Suffixes   map[string]string // of hosts, by kind
}

// factSuffix is the cloud's host suffix in a preview's templates.
const factSuffix = "suffix"

// vocabulary are the names that the documentation's own templates use. A preview
// takes each of them for every target, needed or not.
var vocabulary = []string{
	"accessKey", "accessKeyId", "accessKeyName", "accessKeySecret", "account", "accountKey", "apiKey", "cache", "clientId",
	"clientSecret", "clusterUrl", "configStore", "database", "fabricDatabaseId", "fabricServer", "graph", "kafkaApiKey",
	"kafkaApiSecret", "kafkaCluster", "keyspace", "location", "namespace", "neonHost", "password", "port", "principalId",
	"redisKey", "resourceGroup", "schemaRegistry", "schemaRegistryKey", "schemaRegistrySecret", "server", "serverHost",
	"signalr", "storageAccount", "subscriptionId", "tenantId", "username", "vault", "webpubsub",
}

// PreviewSettings renders the settings of a pair from names alone: hosts follow from the
// cloud's suffixes unless they are given. Auth and client types compare folded.
// *problem.Error AUTH_UNSUPPORTED, CLIENT_UNSUPPORTED, OPTION_UNSUPPORTED for an
// unknown fact, USAGE_INVALID for missing ones.
func (t *Target) PreviewSettings(auth, client string, cloud Cloud, given map[string]string, o Options) ([]Setting, error) {
	auth, client = fold(auth, t.AuthTypes()), fold(client, t.Clients)
	rows, err := t.rowsOf(auth, client, o.Form)
	if err != nil {
		return nil, err
	}
	facts := t.places(cloud)
	for _, name := range sortedKeys(given) {
		if !slices.Contains(vocabulary, name) && !t.knows(name) && !t.previewName(name) {
			return nil, t.unknownFact(name, t.needs(rows, t.places(cloud)))
		}
		secret, _ := t.secretFact(name)
		facts[name] = connection.Value{Text: given[name], Secret: secret}
	}
	if facts, err = t.complete(facts); err != nil {
		return nil, err
	}
	if missing := t.missing(rows, facts); len(missing) > 0 {
		return nil, t.missingFacts(missing, cloud)
	}
	return t.Settings(auth, client, facts, o)
}

// PreviewFacts completes given facts by what follows from names and the cloud's
// host suffix, for a look at settings without a cloud.
func (t *Target) PreviewFacts(suffix string, given connection.Facts) (connection.Facts, error) {
	facts := connection.Facts{factSuffix: connection.Plain(suffix)}
	for name, value := range given {
		facts[name] = value
	}
	facts, err := t.complete(facts)
	delete(facts, factSuffix)
	return facts, err
}

// PreviewNames returns the names a preview of a pair asks for, in the order its rows
// need them.
func (t *Target) PreviewNames(auth, client string) []string {
	words := t.places(Cloud{Suffixes: map[string]string{t.Preview.Suffix: "x"}})
	for _, cloud := range t.Preview.Clouds {
		for word := range cloud {
			words[word] = connection.Plain("x")
		}
	}
	return t.needs(t.rows(auth, ClientType(client), ""), words)
}

// needs is missing where nothing is given but the words of a cloud.
func (t *Target) needs(rows []Row, words connection.Facts) []string {
	facts, err := t.complete(words)
	if err != nil {
		return nil // only a value known after apply does that, and a word never is one
	}
	return t.missing(rows, facts)
}

// places are the words of a cloud that templates may use.
func (t *Target) places(cloud Cloud) connection.Facts {
	facts := connection.Facts{FactManagement: connection.Plain(cloud.Management)}
	if suffix := cloud.Suffixes[t.Preview.Suffix]; suffix != "" {
		facts[factSuffix] = connection.Plain(suffix)
	}
	for word, text := range t.Preview.Clouds[cloud.Name] {
		facts[word] = connection.Plain(text)
	}
	return facts
}

// place tells whether a name is a word of the cloud.
func (t *Target) place(name string) bool {
	for _, words := range t.Preview.Clouds {
		if has(words, name) {
			return true
		}
	}
	return name == factSuffix
}

// previewName tells whether a name is asked for in previews only.
func (t *Target) previewName(name string) bool { return has(t.Preview.Names, name) }

// complete adds what follows from other facts, until nothing more does.
func (t *Target) complete(facts connection.Facts) (connection.Facts, error) {
	plain := func(_, value string) (string, error) { return value, nil }
	for more := true; more; {
		more = false
		for _, name := range sortedKeys(t.Preview.Facts) {
			template, missing := choose(t.Preview.Facts[name], facts)
			if has(facts, name) || missing != "" {
				continue
			}
			text, err := fill(template, facts, plain)
			if err != nil {
				return nil, fmt.Errorf("preview %s of %s: %w", name, t.Name, err)
			}
			secret := slices.ContainsFunc(placeholders(template), func(p string) bool { return facts[p].Secret })
			facts[name] = connection.Value{Text: text, Secret: secret}
			more = true
		}
	}
	return t.derive(facts)
}

// missing names what has to be given for rows to be rendered.
func (t *Target) missing(rows []Row, facts connection.Facts) []string {
	var out []string
	for _, row := range rows {
		if _, missing := choose(row.Value, facts); missing == "" {
			continue
		}
		for _, name := range placeholders(row.Value[len(row.Value)-1]) {
			for _, leaf := range t.leaves(name, facts) {
				if !slices.Contains(out, leaf) {
					out = append(out, leaf)
				}
			}
		}
	}
	return out
}

// leaves follows a fact that is not known down to the names it is made of.
func (t *Target) leaves(name string, facts connection.Facts) []string {
	if has(facts, name) {
		return nil
	}
	var from []string
	if list := t.Preview.Facts[name]; len(list) > 0 {
		from = placeholders(list[len(list)-1])
	} else if origin := t.Derived[name].From; origin != "" && !has(requestFacts, origin) && !has(facts, origin) {
		from = []string{origin}
	}
	var out []string
	for _, part := range from {
		if t.place(part) && !has(facts, part) {
			return []string{name} // this cloud has no such hosts
		}
		out = append(out, t.leaves(part, facts)...)
	}
	if len(from) == 0 {
		return []string{name}
	}
	return out
}

func (t *Target) unknownFact(name string, needed []string) error {
	p := problem.New(problem.OptionUnsupported, "", "%s has no fact %q; needed: %s", t.Name, name, strings.Join(needed, ", "))
	near := Nearest(name, append(slices.Clone(needed), vocabulary...))
	if near == "" {
		return p.WithFix("leave %s out", name)
	}
	p.Detail = fmt.Sprintf("%s has no fact %q; did you mean %q? needed: %s", t.Name, name, near, strings.Join(needed, ", "))
	return p.WithFix("write --fact %s=VALUE", near)
}

func (t *Target) missingFacts(missing []string, cloud Cloud) error {
	var words []string
	for _, name := range missing {
		words = append(words, "--fact "+name+"=VALUE")
	}
	detail := fmt.Sprintf("a preview of %s needs these facts: %s", t.Name, strings.Join(missing, ", "))
	if slices.ContainsFunc(missing, func(name string) bool { return len(t.Preview.Facts[name]) > 0 }) {
		detail += fmt.Sprintf("; what a host of this kind is called in %s is not known", cloud.Name)
	}
	return problem.New(problem.UsageInvalid, "", "%s", detail).WithFix("add %s", strings.Join(words, " "))
}

// fold returns the word of a list that equals the given one but for case.
func fold(given string, list []string) string {
	for _, word := range list {
		if strings.EqualFold(word, given) {
			return word
		}
	}
	return given
}
