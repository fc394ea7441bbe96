package grammar

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// quoteCosmos writes what reads the same in all libraries: the .NET one knows
// quotation marks and doubled equals signs, the others do not.
func quoteCosmos(value string) (string, error) {
	switch {
	case strings.ContainsAny(value, `"'`):
		return "", fmt.Errorf("it holds a quotation mark: %w", ErrValue)
	case strings.HasPrefix(value, "="):
		return "", fmt.Errorf("it begins with an equals sign: %w", ErrValue)
	}
	return quotePairs(value)
}

// quoteSQLServer uses double quotes only: go-mssqldb takes single ones as they stand.
func quoteSQLServer(value string) (string, error) {
	if !utf8.ValidString(value) {
		return "", fmt.Errorf("it is no UTF-8: %w", ErrValue)
	}
	harmful := func(r rune) bool {
		return strings.ContainsRune(`"'=;`, r) || unicode.IsSpace(r) || unicode.IsControl(r)
	}
	if value != "" && !strings.ContainsFunc(value, harmful) {
		return value, nil
	}
	quoted, err := quotePlain(value)
	return `"` + strings.ReplaceAll(quoted, `"`, `""`) + `"`, err
}

// quoteSQLServerJDBC puts everything but harmless values into braces, the closing
// one doubled.
func quoteSQLServerJDBC(value string) (string, error) {
	if value != "" && value == strings.TrimFunc(value, atMostBlank) && !strings.ContainsAny(value, ";{}\x00") {
		return value, nil
	}
	return braced(value)
}

// atMostBlank is what Java's trim takes off.
func atMostBlank(r rune) bool { return r <= ' ' }

// quoteODBC puts everything into braces that a driver manager may take for its own.
func quoteODBC(value string) (string, error) {
	if !utf8.ValidString(value) {
		return "", fmt.Errorf("it is no UTF-8: %w", ErrValue)
	}
	own := func(r rune) bool {
		return strings.ContainsRune(`[]{}(),;?*=!@"'`, r) || unicode.IsSpace(r) || unicode.IsControl(r)
	}
	if value != "" && !strings.ContainsFunc(value, own) {
		return value, nil
	}
	return braced(value)
}

func braced(value string) (string, error) {
	quoted, err := quotePlain(value)
	return "{" + strings.ReplaceAll(quoted, "}", "}}") + "}", err
}

// quoteMySQL follows go-sql-driver/mysql: the user ends at the first colon, the
// password at the last @ before the last slash; only what comes after is escaped.
func quoteMySQL(before, value string) (string, error) {
	switch {
	case strings.Contains(before, ")/"):
		return escape(value, ""), nil
	case before == "" && strings.ContainsRune(value, ':'):
		return "", fmt.Errorf("it holds a colon: %w", ErrValue)
	}
	return quotePlain(value)
}

// quoteUserInfo refuses the colon in what stands before it.
func quoteUserInfo(before, value string) (string, error) {
	if before == "" && strings.ContainsRune(value, ':') {
		return "", fmt.Errorf("it holds a colon: %w", ErrValue)
	}
	return quotePlain(value)
}

// quoteURL leaves the address that a URL begins with, and escapes the rest.
func quoteURL(before, value string) (string, error) {
	if before == "" || before == "jdbc:" {
		return quotePlain(value)
	}
	return escape(value, ""), nil
}

// quoteJAAS writes the inside of a text in single quotes as java.io.StreamTokenizer
// reads it: such a text ends with its line.
func quoteJAAS(value string) (string, error) {
	if strings.ContainsRune(value, 0) {
		return "", fmt.Errorf("it holds a NUL: %w", ErrValue)
	}
	return strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`, "\r", `\r`).Replace(value), nil
}
