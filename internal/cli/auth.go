package cli

import (
	"io"
	"strings"

	"github.com/spf13/pflag"

	"github.com/patchbay/patchbay/internal/problem"
)

// Auth types as the wire spells them.
const (
	authSecret           = "secret"
	authSystemIdentity   = "systemAssignedIdentity"
	authUserIdentity     = "userAssignedIdentity"
	authServicePrincipal = "servicePrincipalSecret"
	authCertificate      = "servicePrincipalCertificate" // the same option, with another word
	authAccessKey        = "accessKey"
)

// authOption is one option that chooses an auth type.
type authOption struct {
	Name     string   // of the option
	Wire     string   // auth type
	AzName   string   // as list-support-types names it
	Keys     []string // words it takes
	Required []string // words it must have
	Help     string
	Free     bool // takes words of the target's own
}

// authOptions is the table of options; their order is that of help.
func authOptions() []authOption {
	return []authOption{
		{Name: "secret", Wire: authSecret, AzName: "secret",
			Keys: []string{"name", "secret", "secret-uri", "secret-name"}, Required: []string{"name"},
			Help: "name=USER secret=VALUE, or secret-uri=, or secret-name= with --vault-id. VALUE may be @FILE or - (standard input), so that it is no process argument."},
		{Name: "system-identity", Wire: authSystemIdentity, AzName: "system-managed-identity",
			Help: "Sign in with the app's system-assigned identity."},
		{Name: "user-identity", Wire: authUserIdentity, AzName: "user-managed-identity",
			Keys: []string{"client-id", "subs-id"}, Required: []string{"client-id", "subs-id"},
			Help: "client-id=ID subs-id=SUBSCRIPTION: sign in with a user-assigned identity."},
		{Name: "service-principal", Wire: authServicePrincipal, AzName: "service-principal",
			Keys: []string{"client-id", "object-id", "secret", "certificate"}, Required: []string{"client-id", "object-id"},
			Help: "client-id=ID object-id=ID secret=VALUE, or certificate=VALUE (PEM, with its key): sign in as a service principal. VALUE may be @FILE or - (standard input)."},
		{Name: "access-key", Wire: authAccessKey, AzName: "access-key", Free: true,
			Help: "PERMISSION ...: sign in with the target's key that holds these permissions and no more, such as Read or Listen."},
		{Name: "workload-identity", Wire: authWorkload, AzName: "workload-identity", Free: true,
			Help: "ID: sign in with the user-assigned identity of this resource id, by federation with a service account."},
		{Name: "user-account", Wire: authUserAccount, AzName: "user-account", Keys: []string{"object-id"},
			Help: "Sign in as a person: you, or whose object-id=ID is given."},
	}
}

// authUserAccount signs in as a person; local connections have it.
const authUserAccount = "userAccount"

// fetchedSecretHelp is the help of --secret where the key is fetched.
const fetchedSecretHelp = "Sign in with the target's own key, which is fetched."

func authByWire(wire string) (authOption, bool) {
	for _, o := range authOptions() {
		if strings.EqualFold(o.Wire, wire) {
			return o, true
		}
	}
	return authOption{}, false
}

// authFlags holds the auth options of one command line.
type authFlags struct {
	target  TargetCommand
	vaultID *string
	given   map[string]*wordList
}

// newAuthFlags registers every auth option; check refuses those the target does
// not have, with a better sentence than "unknown option".
func newAuthFlags(f *pflag.FlagSet, target TargetCommand, vaultID *string) *authFlags {
	a := &authFlags{target: target, vaultID: vaultID, given: map[string]*wordList{}}
	for _, o := range authOptions() {
		fetched := o.Wire == authSecret && target.KeysFetched
		a.given[o.Name] = &wordList{bare: fetched || len(o.Keys) == 0 && !o.Free}
		help := o.Help
		if fetched {
			help = fetchedSecretHelp
		}
		f.Var(a.given[o.Name], o.Name, help)
		f.Lookup(o.Name).Hidden = !target.hasAuth(o.Wire)
	}
	return a
}

func (t TargetCommand) hasAuth(wire string) bool {
	for _, w := range t.AuthTypes {
		if strings.EqualFold(w, wire) {
			return true
		}
	}
	return false
}

// authOptionList names the options of the target's auth types.
func (t TargetCommand) authOptionList() []string {
	var list []string
	for _, w := range t.AuthTypes {
		if o, ok := authByWire(w); ok {
			list = append(list, "--"+o.Name)
		}
	}
	return list
}

// chosen returns the auth option on the command line; ok is false without one.
func (a *authFlags) chosen() (o authOption, ok bool, err error) {
	var names []string
	for _, option := range authOptions() {
		if a.given[option.Name].Given {
			o, ok = option, true
			names = append(names, "--"+option.Name)
		}
	}
	switch {
	case len(names) > 1:
		return o, false, usage("%s cannot go together: a connection has one auth type", strings.Join(names, " and "))
	case ok && !a.target.hasAuth(o.Wire):
		return o, false, problem.New(problem.AuthUnsupported, "", "%s cannot be reached with --%s; use %s",
			a.target.Name, o.Name, strings.Join(a.target.authOptionList(), " or "))
	}
	return o, ok, nil
}

// check looks at the words of the chosen option without reading any secret.
func (a *authFlags) check() error {
	o, ok, err := a.chosen()
	if err != nil || !ok {
		return err
	}
	_, err = a.words(o)
	return err
}

// words reads the option's words and says which are missing.
func (a *authFlags) words(o authOption) (map[string]string, error) {
	if o.Free {
		return nil, a.checkWorkload(o)
	}
	allowed, required := o.Keys, a.target.requiredWords(o)
	if o.Wire == authSecret && a.target.KeysFetched {
		allowed, required = []string{}, nil
		if len(a.given[o.Name].Words) > 0 {
			return nil, usage("--secret takes no words for %s: its key is fetched", a.target.Name)
		}
	}
	if len(o.Keys) == 0 && len(a.given[o.Name].Words) > 0 {
		return nil, usage("--%s takes no words", o.Name)
	}
	values, err := a.given[o.Name].pairs("--"+o.Name, allowed)
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, key := range required {
		if values[key] == "" {
			missing = append(missing, key+"=")
		}
	}
	if o.Wire == authSecret && !a.target.KeysFetched {
		missing = append(missing, missingSecret(values)...)
	}
	if o.Wire == authServicePrincipal && values["secret"] == "" && values["certificate"] == "" {
		missing = append(missing, "secret=")
	}
	if len(missing) > 0 {
		return nil, problem.New(problem.SecretNeeded, "", "--%s needs %s", o.Name, strings.Join(missing, " and ")).
			WithFix("--%s %s", o.Name, exampleWords(o, required))
	}
	return values, a.checkSecretKind(o, values)
}

// requiredWords are the words that an auth option must have for this target.
func (t TargetCommand) requiredWords(o authOption) []string {
	if o.Wire == authSecret && t.Nameless {
		return nil
	}
	return o.Required
}

func missingSecret(values map[string]string) []string {
	for _, key := range []string{"secret", "secret-uri", "secret-name"} {
		if values[key] != "" {
			return nil
		}
	}
	return []string{"secret="}
}

// checkSecretKind refuses several secrets at once, and a vault's secret without the vault.
func (a *authFlags) checkSecretKind(o authOption, values map[string]string) error {
	if o.Wire == authServicePrincipal && values["secret"] != "" && values["certificate"] != "" {
		return usage("--service-principal takes one of secret= and certificate=")
	}
	if o.Wire != authSecret {
		return nil
	}
	kinds := 0
	for _, key := range []string{"secret", "secret-uri", "secret-name"} {
		if values[key] != "" {
			kinds++
		}
	}
	if kinds > 1 {
		return usage("--secret takes one of secret=, secret-uri= and secret-name=")
	}
	if values["secret-name"] != "" && *a.vaultID == "" {
		return usage("--secret secret-name= needs --vault-id: the vault that holds it")
	}
	return nil
}

func exampleWords(o authOption, required []string) string {
	var parts []string
	for _, key := range required {
		value := strings.ToUpper(strings.ReplaceAll(key, "-", "_"))
		switch key {
		case "name":
			value = "USER"
		case "secret":
			value = "@FILE"
		}
		parts = append(parts, key+"="+value)
	}
	if o.Wire == authSecret || o.Wire == authServicePrincipal {
		parts = append(parts, "secret=@FILE")
	}
	return strings.Join(parts, " ")
}

// info returns the wire's authInfo for the chosen option, reading secrets from
// where the words say.
func (a *authFlags) info(o authOption, stdin io.Reader) (map[string]any, error) {
	values, err := a.words(o)
	if err != nil {
		return nil, err
	}
	info := map[string]any{"authType": o.Wire}
	switch o.Wire {
	case authSecret:
		return secretInfo(info, values, stdin)
	case authUserIdentity:
		info["clientId"], info["subscriptionId"] = values["client-id"], values["subs-id"]
	case authServicePrincipal:
		return principalInfo(info, values, stdin)
	case authUserAccount:
		if values["object-id"] != "" {
			info["principalId"] = values["object-id"]
		}
	case authWorkload:
		info["authType"], info[identityID] = authUserIdentity, cleanID(a.given[o.Name].Words[0])
	case authAccessKey:
		info["permissions"] = a.given[o.Name].Words
	}
	return info, nil
}

// principalInfo adds who signs in, and the secret or the certificate.
func principalInfo(info map[string]any, values map[string]string, stdin io.Reader) (map[string]any, error) {
	info["clientId"], info["principalId"] = values["client-id"], values["object-id"]
	word := "secret"
	if values["certificate"] != "" {
		word, info["authType"] = "certificate", authCertificate
	}
	var err error
	info[word], err = secretValue(values[word], stdin)
	return info, err
}

func secretInfo(info map[string]any, values map[string]string, stdin io.Reader) (map[string]any, error) {
	if values["name"] != "" {
		info["name"] = values["name"]
	}
	switch {
	case values["secret-uri"] != "":
		info["secretInfo"] = map[string]any{"secretType": "keyVaultSecretUri", "value": values["secret-uri"]}
	case values["secret-name"] != "":
		info["secretInfo"] = map[string]any{"secretType": "keyVaultSecretReference", "name": values["secret-name"]}
	case values["secret"] != "":
		secret, err := secretValue(values["secret"], stdin)
		if err != nil {
			return nil, err
		}
		info["secretInfo"] = map[string]any{"secretType": "rawValue", "value": secret}
	}
	return info, nil
}
