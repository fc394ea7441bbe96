package api

// The table of the wire: which members, auth types and words a linker has, and
// since which api-version. Everything else in this package is driven by it: what
// is read, what is answered, and the published OpenAPI documents.

const linkerName = "Linker"

// linkerShape is a linker as it is sent and answered.
func linkerShape() *shape {
	return &shape{name: linkerName, about: "One connection between a compute resource and a backing service.", members: []member{
		{name: "id", rules: readOnly, about: "Resource id, in the casing it was first written with."},
		{name: "name", rules: readOnly, about: "Name of the connection."},
		{name: "type", rules: readOnly, about: "Always microsoft.servicelinker/linkers."},
		{name: "systemData", kind: object, rules: readOnly, shape: systemDataShape(), about: "Who wrote the connection, and when."},
		{name: "properties", kind: object, rules: required, shape: propertiesShape(), about: "What is joined, and how."},
	}}
}

func systemDataShape() *shape {
	kinds := base("User", "Application", "ManagedIdentity", "Key")
	return &shape{name: "SystemData", about: "Authors and times of a resource.", members: []member{
		{name: "createdBy", rules: readOnly, about: "Who made it."},
		{name: "createdByType", rules: readOnly, words: kinds, about: "What kind of identity made it."},
		{name: "createdAt", rules: readOnly, about: "UTC time with seven fractional digits."},
		{name: "lastModifiedBy", rules: readOnly, about: "Who changed it last."},
		{name: "lastModifiedByType", rules: readOnly, words: kinds, about: "What kind of identity changed it last."},
		{name: "lastModifiedAt", rules: readOnly, about: "UTC time with seven fractional digits."},
	}}
}

func propertiesShape() *shape {
	return &shape{name: "LinkerProperties", about: "What a connection is made of.", members: []member{
		{name: "targetService", kind: object, rules: sticky, shape: targetShape(), about: "The backing service."},
		{name: "authInfo", kind: object, rules: sticky, shape: authShape(), about: "How the app proves who it is."},
		{name: "clientType", rules: sticky, words: clientTypes(), about: "The client library whose setting names are used."},
		{name: "provisioningState", rules: readOnly, about: "Accepted, Updating or Deleting while work is under way; then Succeeded or Failed."},
		{name: "vNetSolution", kind: object, rules: blankRemoves, shape: vnetShape(), about: "Reach the target through a virtual network."},
		{name: "secretStore", kind: object, shape: secretStoreShape(), about: "Where secrets are kept instead of in the settings."},
		{name: "scope", about: "Container of a container app, or namespace of a cluster."},
		{name: "publicNetworkSolution", kind: object, since: V20221101Preview, shape: publicNetworkShape(), about: "Reach the target through its public address."},
		{name: "configurationInfo", kind: object, since: V20221101Preview, shape: configurationShape(), about: "How settings are written."},
	}}
}

func clientTypes() []word {
	words := base("none", "dotnet", "java", "python", "go", "php", "ruby", "django", "nodejs", "springBoot", "kafka-springBoot")
	words = append(words, since(V20221101Preview, "dapr")...)
	return append(words, since(V20230401Preview, "jms-springBoot")...)
}

func targetShape() *shape {
	endpoint := []member{{name: "endpoint", about: "Address of the service."}}
	return &shape{name: "TargetService", about: "A backing service: a resource by its id, or anything else by its address.", tag: "type",
		members: []member{{name: "type", rules: required, about: "Which form the target has."}},
		variants: []variant{
			{word: "AzureResource", members: []member{
				{name: "id", about: "Resource id of the target."},
				{name: "resourceProperties", kind: object, shape: resourcePropertiesShape(), about: "Options that only this type of resource has."},
			}},
			{word: "ConfluentBootstrapServer", members: endpoint},
			{word: "ConfluentSchemaRegistry", members: endpoint},
			{word: "SelfHostedServer", since: V20221101Preview, members: endpoint},
			{word: "FabricPlatform", since: V20240701Preview, members: endpoint},
		}}
}

func resourcePropertiesShape() *shape {
	return &shape{name: "ResourceProperties", about: "Options of one type of target.", tag: "type",
		members: []member{{name: "type", rules: required, about: "Which type of resource the options are for."}},
		variants: []variant{
			{word: "KeyVault", members: []member{{name: "connectAsKubernetesCsiDriver", kind: flag, about: "Mount the vault into the cluster."}}},
			{word: "AppConfig", since: V20240701Preview, members: []member{{name: "connectWithKubernetesExtension", kind: flag, about: "Let the cluster's extension read the store."}}},
		}}
}

// behavior is the member that says what to do with what others changed.
func behavior() member {
	return member{name: "deleteOrUpdateBehavior", since: V20221101Preview, words: since(V20221101Preview, "Default", "ForcedCleanup"),
		about: "Whether values changed by others are left alone or removed."}
}

func roles() member {
	return member{name: "roles", kind: list, since: V20221101Preview, about: "Role definitions to assign instead of the usual one."}
}

func userName() member {
	return member{name: "userName", since: V20221101Preview, about: "Name of the database user made for the identity."}
}

func authShape() *shape {
	clientID := member{name: "clientId", rules: blankIsNone, about: "Client id of the identity."}
	needID := member{name: "clientId", rules: required, about: "Client id of the service principal."}
	needPrincipal := member{name: "principalId", rules: required, about: "Object id of the service principal."}
	secret := member{name: "secret", rules: required | writeOnly, about: "Secret of the service principal."}
	certificate := member{name: "certificate", rules: required | writeOnly, about: "Certificate of the service principal."}
	return &shape{name: "AuthInfo", about: "How the app signs in to the target.", tag: "authType",
		members: []member{
			{name: "authType", rules: required, about: "Which way of signing in."},
			{name: "authMode", since: V20230401Preview, words: since(V20230401Preview, "optInAllAuth", "optOutAllAuth"), about: "Whether identities and roles are configured."},
		},
		variants: []variant{
			{word: "secret", members: []member{
				{name: "name", rules: blankIsNone, about: "User name."},
				{name: "secretInfo", kind: object, shape: secretInfoShape(), about: "The password, or where it is kept."},
			}},
			{word: "systemAssignedIdentity", members: []member{userName(), roles(), behavior()}},
			{word: "userAssignedIdentity", members: []member{clientID, {name: "subscriptionId", about: "Subscription of the identity."}, userName(), roles(), behavior()}},
			{word: "servicePrincipalSecret", members: []member{needID, needPrincipal, secret, userName(), roles(), behavior()}},
			{word: "servicePrincipalCertificate", members: []member{needID, needPrincipal, certificate, roles(), behavior()}},
			{word: "accessKey", since: V20221101Preview, members: []member{
				{name: "permissions", kind: list, words: since(V20221101Preview, "Read", "Write", "Listen", "Send", "Manage"), about: "What the key must allow."},
			}},
			{word: "userAccount", since: V20221101Preview, members: []member{{name: "principalId", about: "Object id of the person."}, userName(), roles(), behavior()}},
			{word: "easyAuthMicrosoftEntraID", since: V20230401Preview, members: []member{clientID, {name: "secret", rules: writeOnly, about: "Secret of the application."}, behavior()}},
		}}
}

func secretInfoShape() *shape {
	return &shape{name: "SecretInfo", about: "A secret by value or by reference.", tag: "secretType",
		members: []member{{name: "secretType", rules: required, about: "Which form the secret has."}},
		variants: []variant{
			{word: "rawValue", members: []member{{name: "value", rules: writeOnly | blankIsNone, about: "The secret itself; left out, the stored one is kept."}}},
			{word: "keyVaultSecretUri", members: []member{{name: "value", rules: blankIsNone, about: "Address of the secret in a vault."}}},
			{word: "keyVaultSecretReference", members: []member{
				{name: "name", rules: blankIsNone, about: "Name of the secret in the vault of secretStore."},
				{name: "version", about: "Version of the secret; left out, the newest."},
			}},
		}}
}

func vnetShape() *shape {
	return &shape{name: "VNetSolution", about: "A way through a virtual network.", members: []member{
		{name: "type", words: base("serviceEndpoint", "privateLink"), about: "Which way."},
		behavior(),
	}}
}

func secretStoreShape() *shape {
	return &shape{name: "SecretStore", about: "A vault for the connection's secrets.", members: []member{
		{name: "keyVaultId", about: "Resource id of the vault."},
		{name: "keyVaultSecretName", since: V20221101Preview, about: "Name to store a single secret under."},
	}}
}

func actionWords() []word { return since(V20221101Preview, "enable", "optOut") }

func publicNetworkShape() *shape {
	allow := since(V20221101Preview, "true", "false")
	rules := &shape{name: "FirewallRules", about: "Who is let in; the switches are the words \"true\" and \"false\".", members: []member{
		{name: "ipRanges", kind: list, about: "Addresses and ranges to let in."},
		{name: "azureServices", rules: quiet, words: allow, about: "Let every Azure service in."},
		{name: "callerClientIP", words: allow, about: "Let the caller's own address in."},
	}}
	return &shape{name: "PublicNetworkSolution", about: "Firewall rules on the target.", members: []member{
		{name: "action", words: actionWords(), about: "Whether rules are written at all."},
		{name: "firewallRules", kind: object, shape: rules, about: "Rules besides the app's own addresses."},
		behavior(),
	}}
}

func configurationShape() *shape {
	store := &shape{name: "ConfigurationStore", about: "A store for the settings.", members: []member{
		{name: "appConfigurationId", about: "Resource id of the App Configuration store."},
	}}
	return &shape{name: "ConfigurationInfo", about: "What is written into the source's settings.", members: []member{
		{name: "action", words: actionWords(), about: "Whether settings are written at all."},
		{name: "customizedKeys", kind: texts, about: "Own names by default name."},
		{name: "daprProperties", kind: object, shape: daprShape(), about: "The Dapr component to make."},
		{name: "additionalConfigurations", kind: texts, about: "Further settings."},
		{name: "additionalConnectionStringProperties", kind: texts, since: V20230401Preview, about: "Further parts of the connection string."},
		{name: "configurationStore", kind: object, since: V20230401Preview, shape: store, about: "Where settings are kept instead of on the source."},
		behavior(),
	}}
}

func daprShape() *shape {
	metadata := &shape{name: "DaprMetadata", about: "One entry of a component's metadata.", members: []member{
		{name: "name", about: "Name of the entry."},
		{name: "value", about: "Its value."},
		{name: "secretRef", about: "Name of the secret that holds the value."},
		{name: "description", since: V20230401Preview, about: "What it is for."},
		{name: "required", since: V20230401Preview, words: since(V20230401Preview, "true", "false"), about: "Whether it must be given."},
	}}
	return &shape{name: "DaprProperties", about: "A Dapr component.", members: []member{
		{name: "version", about: "Version of the component's API."},
		{name: "componentType", about: "Type of the component."},
		{name: "secretStoreComponent", about: "Component that holds its secrets."},
		{name: "metadata", kind: rows, shape: metadata, about: "Its metadata."},
		{name: "scopes", kind: list, about: "Apps that may use it."},
		{name: "runtimeVersion", since: V20230401Preview, rules: readOnly, about: "Version of the runtime."},
		{name: "bindingComponentDirection", since: V20230401Preview, rules: readOnly, words: since(V20230401Preview, "input", "output"), about: "Direction of a binding."},
	}}
}

// configurationRowShape is one setting as listConfigurations answers it.
func configurationRowShape() *shape {
	return &shape{name: "Configuration", about: "One setting the connection writes.", members: []member{
		{name: "name", about: "Name of the setting."},
		{name: "value", about: "Its value, which may be a secret."},
		{name: "configType", since: V20230401Preview, rules: readOnly, words: since(V20230401Preview, "Default", "KeyVaultSecret"), about: "Whether the value is kept in a vault."},
		{name: "keyVaultReferenceIdentity", since: V20230401Preview, about: "Identity that reads the vault."},
		{name: "description", since: V20230401Preview, about: "What the setting is for."},
	}}
}
