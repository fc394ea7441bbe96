package probe

// ParseJAAS is parseJAAS for the tests.
var ParseJAAS = parseJAAS

// ParseBus is parseBus for the tests.
func ParseBus(text string) (host, keyName, key string, err error) {
	place, err := parseBus(text)
	return place.host, place.keyName, place.key, err
}
