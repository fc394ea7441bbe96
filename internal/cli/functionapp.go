package cli

// FunctionApp is the source command of Azure Functions: the same sites as web apps, whose
// triggers and bindings read settings of names of their own.
func FunctionApp() SourceCommand {
	return SourceCommand{
		Name: "functionapp", Display: "function app", Title: "function apps",
		ID:            "/subscriptions/{subscription}/resourceGroups/{resource-group}/providers/Microsoft.Web/sites/{name}",
		Options:       []SourceOption{{Name: "name", Short: "n", Help: "The function app's `name`."}, slotOption("function app")},
		RuntimeFields: []string{"siteConfig.linuxFxVersion", "siteConfig.windowsFxVersion"},
		APIVersion:    "2023-12-01",
		Bindings:      true,
	}
}

// slotOption names a deployment slot.
func slotOption(display string) SourceOption {
	return SourceOption{Name: "slot", Help: "The `name` of a deployment slot. Default: the " + display + " itself.", Optional: true, Part: "/slots/{slot}"}
}
