package api

import (
	"encoding/base64"
	"strconv"

	"github.com/patchbay/patchbay/internal/problem"
)

// ConfigurationNames are the settings of one target, client type and auth type.
type ConfigurationNames struct {
	TargetService string              `json:"targetService"` // upper case, without the names
	ClientType    string              `json:"clientType"`
	AuthType      string              `json:"authType"`
	SecretType    string              `json:"secretType,omitempty"`
	Names         []ConfigurationName `json:"names"`
}

// ConfigurationName is one setting's name.
type ConfigurationName struct {
	Value       string `json:"value"`
	Description string `json:"description"`
	Required    bool   `json:"required"`
}

// ConfigurationNameItem is one row of the list.
type ConfigurationNameItem struct {
	Properties ConfigurationNames `json:"properties"`
}

// ConfigurationNameResult is a page of configurationNames.
type ConfigurationNameResult struct {
	Value    []ConfigurationNameItem `json:"value"`
	NextLink *string                 `json:"nextLink,omitempty"`
}

// nameFields are what configurationNames can be filtered by.
func nameFields() []string {
	return []string{"targetService", "clientType", "authType", "secretType"}
}

func (n ConfigurationNames) field(name string) string {
	switch name {
	case "targetService":
		return n.TargetService
	case "clientType":
		return n.ClientType
	case "authType":
		return n.AuthType
	}
	return n.SecretType
}

// NamesPage is how many rows a page of configurationNames has.
const NamesPage = 100

// PageOfNames picks the rows a filter lets through and the page a token stands for;
// next is the token of the page after it, empty on the last. Versions before the one
// that knows secretType leave it out.
func PageOfNames(version Version, all []ConfigurationNames, filter, token string) (rows []ConfigurationNameItem, next string, err error) {
	f, err := ParseFilter(filter, nameFields()...)
	if err != nil {
		return nil, "", err
	}
	from, err := readSkipToken(token)
	if err != nil {
		return nil, "", err
	}
	rows = []ConfigurationNameItem{}
	n := 0
	for _, row := range all {
		if !f.Holds(row.field) {
			continue
		}
		if n++; n <= from {
			continue
		}
		if len(rows) == NamesPage {
			return rows, writeSkipToken(from + NamesPage), nil
		}
		if !version.has(V20230401Preview) {
			row.SecretType = ""
		}
		rows = append(rows, ConfigurationNameItem{row})
	}
	return rows, "", nil
}

func writeSkipToken(n int) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(n)))
}

func readSkipToken(token string) (int, error) {
	if token == "" {
		return 0, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err == nil {
		var n int
		if n, err = strconv.Atoi(string(raw)); err == nil && n >= 0 && writeSkipToken(n) == token {
			return n, nil
		}
	}
	return 0, problem.New(problem.BodyInvalid, "$skipToken", "$skipToken %q is none that a page was ended with", printable(token)).
		WithFix("follow nextLink as it was answered")
}

// DaprConfiguration is a component that a target and auth type can have.
type DaprConfiguration struct {
	TargetType     string         `json:"targetType"` // upper case
	AuthType       string         `json:"authType"`
	DaprProperties DaprProperties `json:"daprProperties"`
}

// DaprProperties describe a component: what the user may add to it.
type DaprProperties struct {
	Version       string         `json:"version"`
	ComponentType string         `json:"componentType"`
	Metadata      []DaprMetadata `json:"metadata"`
	Direction     *string        `json:"bindingComponentDirection,omitempty"`
}

// DaprMetadata is one entry that is the user's to give.
type DaprMetadata struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Required    string `json:"required"` // the words true and false
}

// DaprConfigurationItem is one row of the list.
type DaprConfigurationItem struct {
	Properties DaprConfiguration `json:"properties"`
}

// DaprConfigurationList are the components there are.
type DaprConfigurationList struct {
	Value []DaprConfigurationItem `json:"value"`
}
