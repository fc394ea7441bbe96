package containerapp

// SecretNames are what the secrets of a container's setting are called.
func SecretNames(container, setting string) [2]string {
	return ownNames(map[string]any{"name": container}, setting)
}
