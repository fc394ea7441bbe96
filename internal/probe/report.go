package probe

import (
	"fmt"
	"strings"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

// Names of the published validation items.
const (
	nameExistence = "Target resource existence validated."
	nameFirewall  = "Target service firewall validated."
	nameNetwork   = "Target network access validated."
	nameSettings  = "Configured connection information validated."
	nameRights    = "Managed Identity permissions validated."
	// nameSettingsOnly stands where user name and password were not tried.
	nameSettingsOnly = "Configured connection information validated (except for username/password)."
)

const deniedWarning = "The target denies all public network access. Make sure that the app reaches it through a private endpoint."

// report turns an outcome into findings, in the published order: network, then settings.
func (v *visit) report(o outcome) []connection.Finding {
	var found []connection.Finding
	add := func(f connection.Finding, ok bool) {
		if ok {
			found = append(found, f)
		}
	}
	add(v.networkFinding(o))
	if o.failed() && (o.stage == atNetwork || o.stage == atWall) {
		return found
	}
	add(v.settingsFinding(o))
	add(v.rightsFinding(o))
	return found
}

// networkFinding judges the way to the target. When the user keeps the network to
// himself, only what is wrong is said.
func (v *visit) networkFinding(o outcome) (connection.Finding, bool) {
	denied := v.facts.Text(connection.FactDenied) != ""
	switch {
	case denied:
		return connection.Finding{Name: nameNetwork, Result: connection.ResultWarning, Description: deniedWarning}, true
	case o.failed() && o.stage == atWall:
		return o.finding(nameFirewall, connection.ResultFailure), true
	case o.failed() && o.stage == atNetwork:
		return o.finding(nameNetwork, connection.ResultFailure), true
	case !v.network():
		return connection.Finding{}, false
	}
	if note := v.facts.Text(connection.FactWallNote); note != "" {
		return connection.Finding{Name: nameFirewall, Result: connection.ResultWarning, Description: note}, true
	}
	f := connection.Finding{Name: nameFirewall, Result: connection.ResultSuccess}
	if o.stage == atWall {
		f.Description = o.unproven
	}
	return f, true
}

// rightsFinding tells of a login that works and allows nothing yet.
func (v *visit) rightsFinding(o outcome) (connection.Finding, bool) {
	return connection.Finding{Name: nameRights, Result: connection.ResultWarning, Description: o.detail}, o.stage == atRights
}

// settingsFinding judges what the app was configured with.
func (v *visit) settingsFinding(o outcome) (connection.Finding, bool) {
	switch {
	case v.bare():
		return connection.Finding{}, false
	case o.failed():
		return o.finding(nameSettings, connection.ResultFailure), true
	case o.unproven != "" && v.identity(): // there is no user name and password to leave out
		return connection.Finding{Name: nameSettings, Result: connection.ResultSuccess, Description: o.unproven}, true
	case o.unproven != "":
		return connection.Finding{Name: nameSettingsOnly, Result: connection.ResultSuccess, Description: o.unproven}, true
	}
	return connection.Finding{Name: nameSettings, Result: connection.ResultSuccess}, true
}

func (o outcome) finding(name, result string) connection.Finding {
	f := connection.Finding{Name: name, Result: result, Description: o.detail, Code: string(o.code), Fix: o.fix}
	if row, ok := problem.Lookup(o.code); ok {
		if f.Fix == "" {
			f.Fix = row.Fix
		}
		if f.Description == "" {
			f.Description = row.Summary
		}
	}
	return f
}

func (v *visit) stopped() connection.Finding {
	return outcome{
		code:   problem.TargetStopped,
		detail: fmt.Sprintf("the target is %s", strings.ToLower(v.facts.Text(connection.FactState))),
		fix:    v.facts.Text(connection.FactStart),
	}.finding(nameNetwork, connection.ResultFailure)
}

// The outcomes protocols have in common.

// unsettled is for settings that are missing or make no sense.
func (v *visit) unsettled(err error) outcome {
	if len(v.missing) > 0 {
		return outcome{stage: atSettings, code: problem.SettingMissing, fix: v.repair(""),
			detail: "the app has no setting " + strings.Join(v.missing, ", ")}
	}
	return outcome{stage: atSettings, code: problem.SettingChanged, fix: v.repair(" --force"),
		detail: "a setting of the app cannot be read: " + err.Error()}
}

// noAnswer is for an address nothing answers at. Where all public traffic is
// denied that is as it should be, seen from here.
func (v *visit) noAnswer(address string, err error) outcome {
	if v.facts.Text(connection.FactDenied) != "" {
		return outcome{stage: atNetwork, unproven: "not proven: the target cannot be reached from here, because it denies public network access"}
	}
	return outcome{stage: atNetwork, code: problem.TargetNoAnswer, detail: fmt.Sprintf("%s %s", address, because(err))}
}

// shutOut is for a firewall that refused an address: a failure when it is one of
// the app's, and no more than an open question when it is only ours.
func (v *visit) shutOut(address, how string) outcome {
	if v.facts.Text(connection.FactDenied) == "" && v.sourceAddress(address) {
		return outcome{stage: atWall, code: problem.FirewallClosed, detail: how, fix: v.repair("")}
	}
	return outcome{stage: atWall, unproven: fmt.Sprintf("not proven: the firewall does not let in Patchbay's own address %s, so signing in was not tried", address)}
}

// refused is for a user name and password, or a key, that the service does not take.
func (v *visit) refused(detail string) outcome {
	return outcome{code: problem.LoginRefused, detail: detail, fix: v.newSecret()}
}

const identityUnproven = "not proven: only the app has its identity's token, so the network was tried and signing in was not"

// repair is the command that writes the connection's facets again.
func (v *visit) repair(more string) string { return "patchbay repair --id " + v.c.ID + more }

// newSecret is the command that gives the right secret. A fetched key is fetched
// again by a repair.
func (v *visit) newSecret() string {
	a := v.c.Properties.Auth
	if a == nil || a.Name == "" {
		return v.repair(" --force")
	}
	return "patchbay webapp connection update " + v.targetName() + " --id " + v.c.ID + " --secret name=" + a.Name + " secret=PASSWORD"
}

// targetName is the word of the command line for the target; only targets with
// given passwords need it.
func (v *visit) targetName() string {
	return v.facts.Text(connection.FactTarget)
}
