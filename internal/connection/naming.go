package connection

import "strings"

// SettingName is the name under which a documented setting is written:
// AZURE_POSTGRESQL_HOST becomes AZURE_POSTGRESQL_<INFIX>_HOST for a further
// connection of the same target, and custom renames it (by either name). Library
// property names such as spring.datasource.url have no place for an infix.
func SettingName(documented, infix string, custom map[string]string) string {
	name := documented
	if parts := strings.SplitN(documented, "_", 3); infix != "" && len(parts) == 3 && !strings.Contains(documented, ".") {
		name = parts[0] + "_" + parts[1] + "_" + strings.ToUpper(infix) + "_" + parts[2]
	}
	for _, old := range []string{name, documented} {
		for from, to := range custom {
			if to != "" && strings.EqualFold(from, old) {
				return to
			}
		}
	}
	return name
}

// SettingName is the name a documented setting has in this connection.
func (c *Connection) SettingName(documented string) string {
	var custom map[string]string
	if c.Properties.Configuration != nil {
		custom = c.Properties.Configuration.CustomizedKeys
	}
	return SettingName(documented, c.Infix, custom)
}
