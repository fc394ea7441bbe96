package cli

// ContainerApp is the source command of container apps.
func ContainerApp() SourceCommand {
	return SourceCommand{
		Name: "containerapp", Display: "container app", Title: "container apps", PlainOnly: true,
		ID:         "/subscriptions/{subscription}/resourceGroups/{resource-group}/providers/Microsoft.App/containerApps/{name}",
		Options:    []SourceOption{{Name: "name", Short: "n", Help: "The container app's `name`."}},
		Scope:      SourceOption{Name: "container", Short: "c", Help: "The `name` of the container, or init container, that gets the settings. Default: the first."},
		APIVersion: "2025-07-01",
	}
}
