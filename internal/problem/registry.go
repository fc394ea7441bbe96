package problem

//go:generate go test . -run TestErrorsPage -update

// Entry is one row of the registry.
type Entry struct {
	Code    Code
	Status  int    // HTTP status it rides on
	Exit    int    // exit code of the command line
	Summary string // what it means, one sentence
	Fix     string // what to do when the error itself has no better idea
}

// The codes. A test holds that each has a row, a page and a place that raises it.
const (
	Internal Code = "INTERNAL"

	// Requests.
	BodyNotJSON       Code = "BODY_NOT_JSON"
	BodyTooLarge      Code = "BODY_TOO_LARGE"
	BodyInvalid       Code = "BODY_INVALID"
	PathMalformed     Code = "PATH_MALFORMED"
	RouteUnknown      Code = "ROUTE_UNKNOWN"
	MethodNotAllowed  Code = "METHOD_NOT_ALLOWED"
	APIVersionMissing Code = "API_VERSION_MISSING"
	APIVersionUnknown Code = "API_VERSION_UNKNOWN"
	TokenMissing      Code = "TOKEN_MISSING"
	TokenInvalid      Code = "TOKEN_INVALID"
	TokenExpired      Code = "TOKEN_EXPIRED"
	TokenAudience     Code = "TOKEN_AUDIENCE"
	CallerLacksRight  Code = "CALLER_LACKS_RIGHT"
	EngineLacksRight  Code = "ENGINE_LACKS_RIGHT"
	DeploymentRefused Code = "DEPLOYMENT_REFUSED"
	UpstreamUnreached Code = "UPSTREAM_UNREACHED"

	// What was asked.
	ConnectionNotFound Code = "CONNECTION_NOT_FOUND"
	ConnectionBusy     Code = "CONNECTION_BUSY"
	ConnectionName     Code = "CONNECTION_NAME_INVALID"
	OperationNotFound  Code = "OPERATION_NOT_FOUND"
	OperationState     Code = "OPERATION_STATE"
	SourceUnsupported  Code = "SOURCE_UNSUPPORTED"
	SourceNotFound     Code = "SOURCE_NOT_FOUND"
	SourceUnusable     Code = "SOURCE_UNUSABLE"
	TargetUnsupported  Code = "TARGET_UNSUPPORTED"
	TargetNotFound     Code = "TARGET_NOT_FOUND"
	TargetUnreadable   Code = "TARGET_UNREADABLE"
	IdentityNotFound   Code = "IDENTITY_NOT_FOUND"
	AuthUnsupported    Code = "AUTH_UNSUPPORTED"
	ClientUnsupported  Code = "CLIENT_UNSUPPORTED"
	OptionUnsupported  Code = "OPTION_UNSUPPORTED"
	SecretNeeded       Code = "SECRET_NEEDED"
	SettingClash       Code = "SETTING_CLASH"
	SettingName        Code = "SETTING_NAME_INVALID"
	ForeignMark        Code = "FOREIGN_MARK"
	KeyAccessDisabled  Code = "KEY_ACCESS_DISABLED"
	PublicAccessDenied Code = "PUBLIC_ACCESS_DENIED"
	DefaultFlip        Code = "DEFAULT_FLIP"
	StoreNotConnected  Code = "STORE_NOT_CONNECTED"

	// While applying.
	ARMRefused      Code = "ARM_REFUSED"
	ARMUnreached    Code = "ARM_UNREACHED"
	ARMThrottled    Code = "ARM_THROTTLED"
	ARMFailed       Code = "ARM_OPERATION_FAILED"
	ScopeLocked     Code = "SCOPE_LOCKED"
	WriteLost       Code = "WRITE_LOST"
	DatabaseRefused Code = "DATABASE_REFUSED"
	VaultRefused    Code = "VAULT_REFUSED"

	// A Kubernetes cluster as the source.
	ClusterUnreached    Code = "CLUSTER_UNREACHED"
	ClusterRefused      Code = "CLUSTER_REFUSED"
	NamespaceNotFound   Code = "NAMESPACE_NOT_FOUND"
	ObjectTaken         Code = "OBJECT_TAKEN"
	WorkloadIdentityOff Code = "WORKLOAD_IDENTITY_OFF"

	Remainder   Code = "REMAINDER"
	Interrupted Code = "INTERRUPTED"

	// The ledger.
	StoreFull   Code = "STORE_FULL"
	StoreFailed Code = "STORE_FAILED"
	LeaseLost   Code = "LEASE_LOST"
	SealKeyLost Code = "SEAL_KEY_LOST"

	// What validation finds.
	TargetStopped    Code = "TARGET_STOPPED"
	TargetMissing    Code = "TARGET_MISSING"
	TargetNoAnswer   Code = "TARGET_NO_ANSWER"
	FirewallClosed   Code = "FIREWALL_CLOSED"
	LoginRefused     Code = "LOGIN_REFUSED"
	DatabaseMissing  Code = "DATABASE_MISSING"
	DBUserMissing    Code = "DBUSER_MISSING"
	RoleMissing      Code = "ROLE_MISSING"
	AccessMissing    Code = "ACCESS_MISSING"
	SettingMissing   Code = "SETTING_MISSING"
	SettingChanged   Code = "SETTING_CHANGED"
	IdentityOff      Code = "IDENTITY_OFF"
	IdentityReplaced Code = "IDENTITY_REPLACED"
	FeatureOff       Code = "FEATURE_OFF"
	DriftFound       Code = "DRIFT_FOUND"

	// The command line and the local cloud.
	UsageInvalid     Code = "USAGE_INVALID"
	NoContext        Code = "NO_CONTEXT"
	SignInFailed     Code = "SIGN_IN_FAILED"
	QueryInvalid     Code = "QUERY_INVALID"
	ConfirmNeeded    Code = "CONFIRM_NEEDED"
	StillRunning     Code = "STILL_RUNNING"
	LocalRunning     Code = "LOCAL_ALREADY_RUNNING"
	LocalNotRunning  Code = "LOCAL_NOT_RUNNING"
	LocalStartFailed Code = "LOCAL_START_FAILED"
)

// Lookup finds a code's row.
func Lookup(code Code) (Entry, bool) {
	for _, row := range Registry() {
		if row.Code == code {
			return row, true
		}
	}
	return Entry{}, false
}

// Registry returns every row, in the order of docs/errors.md.
func Registry() []Entry {
	return []Entry{
		{Internal, 500, ExitFailed, "Something broke inside Patchbay itself.", "Report it with the operation's id; nothing half written stays: `patchbay operation show ID` tells."},
		{BodyNotJSON, 400, ExitUsage, "The request's body is not JSON.", "Send one JSON object with Content-Type application/json."},
		{BodyTooLarge, 413, ExitUsage, "The request's body is larger than 4 MB.", "Send only the connection's own properties."},
		{BodyInvalid, 400, ExitUsage, "The request's body does not have the shape this api-version publishes.", "Compare the named member with the OpenAPI document of that api-version."},
		{PathMalformed, 400, ExitUsage, "The address is not a resource id.", "Write the id as `patchbay webapp connection show` prints it."},
		{RouteUnknown, 404, ExitNotFound, "Nothing answers at this address.", "Check the resource type and the verb."},
		{MethodNotAllowed, 405, ExitUsage, "This resource does not answer that method.", "Use one of the methods named in the Allow header."},
		{APIVersionMissing, 400, ExitUsage, "The api-version query parameter is missing.", "Add ?api-version=2024-04-01 to the address."},
		{APIVersionUnknown, 400, ExitUsage, "The api-version is not one this resource type has.", "Use one of the versions the message lists."},
		{TokenMissing, 401, ExitDenied, "The request carries no access token.", "Sign in and send Authorization: Bearer TOKEN."},
		{TokenInvalid, 401, ExitDenied, "The access token is not signed by a key of a trusted issuer.", "Sign in again at this cloud's own sign-in endpoint."},
		{TokenExpired, 401, ExitDenied, "The access token has expired.", "Sign in again."},
		{TokenAudience, 401, ExitDenied, "The access token was made for another audience.", "Ask for a token whose resource is this cloud's management endpoint."},
		{CallerLacksRight, 403, ExitDenied, "The caller may not do everything this change needs; nothing was written.", "Ask an owner of the scope for a role that holds the action."},
		{EngineLacksRight, 403, ExitDenied, "Patchbay's own identity may not do everything this change needs; nothing was written.", "Give Patchbay's identity a role that holds the action on the scope."},
		{DeploymentRefused, 400, ExitUsage, "The template would send Microsoft.ServiceLinker to Microsoft's own provider.", "Take the linkers out of the template and create them here after it has run."},
		{UpstreamUnreached, 502, ExitFailed, "The cloud behind this server does not answer.", "Check the address given to --upstream and that it is up."},
		{ConnectionNotFound, 404, ExitNotFound, "There is no connection of that name on the source.", "List the source's connections: `patchbay webapp connection list`."},
		{ConnectionBusy, 409, ExitFailed, "Another operation on this connection is under way.", "Wait for it: `patchbay operation list`."},
		{ConnectionName, 400, ExitUsage, "A connection's name has letters, digits, '.' and '_' only.", "Choose another name."},
		{OperationNotFound, 404, ExitNotFound, "There is no operation with that id.", "List them: `patchbay operation list`."},
		{OperationState, 409, ExitFailed, "The operation is not in a state that allows this.", "Look at it: `patchbay operation show ID`."},
		{SourceUnsupported, 400, ExitUsage, "No driver knows this kind of source.", "Use one of the source types the message lists."},
		{SourceNotFound, 404, ExitNotFound, "The source does not exist, or cannot be seen.", "Check the name, resource group and subscription."},
		{SourceUnusable, 409, ExitFailed, "A file of the source cannot be read, understood or written.", "Mend the file as the message says."},
		{TargetUnsupported, 400, ExitUsage, "The catalog has no such target.", "Use one of the targets the message lists; `patchbay webapp connection list-support-types` shows what goes together."},
		{TargetNotFound, 404, ExitNotFound, "The target does not exist.", "Check the name, resource group and subscription."},
		{TargetUnreadable, 403, ExitDenied, "The target cannot be read with the rights at hand.", "Ask for Reader on the target, or check its subscription."},
		{IdentityNotFound, 404, ExitNotFound, "No user-assigned identity of the subscription has this client id.", "Check the client id and the subscription of the identity."},
		{AuthUnsupported, 400, ExitUsage, "This target cannot be reached with this auth type.", "Use one of the auth types the message lists; `patchbay webapp connection list-support-types` shows what goes together."},
		{ClientUnsupported, 400, ExitUsage, "There are no settings for this client type with this target and auth type.", "Use one of the client types the message lists, or none."},
		{OptionUnsupported, 400, ExitUsage, "An option of the request is not supported for this pair.", "Leave the option out; `patchbay webapp connection create TARGET --help` tells those there are."},
		{SecretNeeded, 400, ExitUsage, "A secret that only you can give is needed.", "Give it with --secret name=USER secret=VALUE."},
		{SettingClash, 409, ExitFailed, "Another connection already owns a setting of this name with another value.", "Choose other keys with --customized-keys, or delete the other connection."},
		{SettingName, 400, ExitUsage, "The source cannot carry a setting of this name.", "Rename it with --customized-keys."},
		{ForeignMark, 409, ExitFailed, "The thing carries Patchbay's mark but is not in this ledger: another installation's, or a lost ledger's.", "Find the other installation, or remove the thing by hand if none is left."},
		{KeyAccessDisabled, 409, ExitFailed, "The target has key access switched off.", "Use --system-identity, or switch key access on."},
		{PublicAccessDenied, 409, ExitFailed, "The target denies all public traffic and no private way was asked for.", "Open public access on the target, or opt out of the network step with --opt-out publicnetwork."},
		{DefaultFlip, 409, ExitFailed, "The change would flip a default for everybody who uses the target.", "Open the firewall by hand first, or opt out with --opt-out publicnetwork."},
		{StoreNotConnected, 409, ExitFailed, "The source has no connection to the vault or store that is to keep its settings, so it could not read them there.", "Connect the source to the vault or store first; `patchbay webapp connection create` does that by itself."},
		{ARMRefused, 502, ExitFailed, "The cloud refused a call.", "The message holds the cloud's own words."},
		{ARMUnreached, 502, ExitFailed, "The cloud could not be reached.", "Check the network and try again."},
		{ARMThrottled, 429, ExitFailed, "The cloud is throttling this identity.", "Try again after the time the message names."},
		{ARMFailed, 502, ExitFailed, "A long-running operation of the cloud ended in failure.", "The message holds the cloud's own words."},
		{ScopeLocked, 409, ExitFailed, "A management lock forbids the change.", "Remove the lock, or ask who set it."},
		{WriteLost, 409, ExitFailed, "Another writer replaced the settings in the same moment.", "Try again; the other writer's settings were kept."},
		{DatabaseRefused, 502, ExitFailed, "The database refused a statement.", "The message holds the database's own words."},
		{VaultRefused, 502, ExitFailed, "The Key Vault or App Configuration store refused a call.", "The message holds the service's own words."},
		{ClusterUnreached, 502, ExitFailed, "The API server of the Kubernetes cluster does not answer.", "See that the cluster runs and that its API server can be reached from here."},
		{ClusterRefused, 403, ExitDenied, "The Kubernetes cluster refused a call.", "The message holds the cluster's own words; give Patchbay's identity rights in the namespace."},
		{NamespaceNotFound, 404, ExitNotFound, "The cluster has no such namespace.", "Create it: `kubectl create namespace NAME`, or choose another."},
		{ObjectTaken, 409, ExitFailed, "An object of the name Patchbay would use is somebody else's.", "Choose another name for the connection, or remove the object."},
		{WorkloadIdentityOff, 409, ExitFailed, "The cluster has no workload identity: its OIDC issuer or the feature is switched off.", "Switch both on: `az aks update --enable-oidc-issuer --enable-workload-identity`."},
		{Remainder, 409, ExitFailed, "The operation could not be finished nor undone; what remains is named.", "Mend what the message names, then delete or repair the connection."},
		{Interrupted, 409, ExitFailed, "The process that ran the operation is gone.", "Run `patchbay operation resume ID`."},
		{StoreFull, 507, ExitFailed, "The disk or the ledger's store is full.", "Free some space and try again; nothing was half written."},
		{StoreFailed, 500, ExitFailed, "The ledger's store failed.", "Check the ledger's file and its folder's rights."},
		{LeaseLost, 409, ExitFailed, "Another process took this operation over.", "Look at it: `patchbay operation show ID`."},
		{SealKeyLost, 500, ExitFailed, "A kept secret cannot be opened: the seal key is another one or gone.", "Give the secret again with `patchbay webapp connection update`."},
		{TargetStopped, 409, ExitDrift, "The target is stopped.", "Start it."},
		{TargetMissing, 404, ExitDrift, "The target is gone.", "Create it again, or delete the connection."},
		{TargetNoAnswer, 409, ExitDrift, "The target does not answer at its address.", "Check that it runs and that the network lets the app through."},
		{FirewallClosed, 409, ExitDrift, "The target's firewall does not let the app in.", "Run `patchbay repair --all`."},
		{LoginRefused, 409, ExitDrift, "The target refuses the user name and password, or the key.", "Give the right secret with `patchbay webapp connection update`."},
		{DatabaseMissing, 404, ExitDrift, "The server has no such database.", "Create it again, or point the connection elsewhere."},
		{DBUserMissing, 409, ExitDrift, "The database has no user for the app's identity, or binds it to another one.", "Run `patchbay repair --all`."},
		{RoleMissing, 409, ExitDrift, "The app's identity lacks a role on the target.", "Run `patchbay repair --all`."},
		{AccessMissing, 409, ExitDrift, "The app's identity lacks an access policy on the target.", "Run `patchbay repair --all`."},
		{SettingMissing, 409, ExitDrift, "A setting the app reads is gone.", "Run `patchbay repair --all`."},
		{SettingChanged, 409, ExitDrift, "A setting the app reads was changed by somebody else.", "Run `patchbay repair --all --force` to write it again, or leave it."},
		{IdentityOff, 409, ExitDrift, "The app's identity is switched off.", "Run `patchbay repair --all`."},
		{IdentityReplaced, 409, ExitDrift, "The app's identity came back under a new principal id.", "Run `patchbay repair --all`."},
		{FeatureOff, 409, ExitDrift, "A switch on the target that the connection needs is off.", "Run `patchbay repair --all`."},
		{DriftFound, 409, ExitDrift, "The world differs from what the connection needs.", "Run `patchbay repair --all`."},
		{UsageInvalid, 400, ExitUsage, "The command line is not right.", "See `patchbay COMMAND --help`."},
		{NoContext, 400, ExitUsage, "No cloud is configured.", "Run `patchbay local start`, or sign in to Azure and give --subscription."},
		{SignInFailed, 401, ExitDenied, "Signing in did not work.", "Sign in again (`az login`), or check the client id and secret."},
		{QueryInvalid, 400, ExitUsage, "The --query expression is not valid JMESPath.", "Check the expression."},
		{ConfirmNeeded, 400, ExitUsage, "Deleting asks for a yes.", "Add --yes."},
		{StillRunning, 202, ExitRunning, "The operation is still running.", "Wait for it: `patchbay operation show ID`."},
		{LocalRunning, 409, ExitFailed, "A local cloud is already running.", "Use it, or stop it: `patchbay local stop`."},
		{LocalNotRunning, 404, ExitNotFound, "No local cloud is running.", "Run `patchbay local start`."},
		{LocalStartFailed, 500, ExitFailed, "The local cloud could not be started.", "The message and its log file say why."},
	}
}
