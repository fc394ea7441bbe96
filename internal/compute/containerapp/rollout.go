package containerapp

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/patchbay/patchbay/internal/problem"
)

// roll writes a draft in one merge patch and sees its revision through. Where revisions
// run side by side, and the draft brings settings, the traffic that follows the latest one is held at the one that is
// ready until the new one is; then it moves. A secret alone reaches the app when its
// revision is started anew.
func (d *Setting) roll(ctx context.Context, app string, next *draft, brings bool) error {
	properties, configuration := map[string]any{}, map[string]any{}
	template := next.template()
	if template != nil {
		properties["template"] = template
	}
	if next.secretsChanged() {
		kept, err := d.stillUsed(ctx, app, next)
		if err != nil {
			return err
		}
		configuration["secrets"] = append(slices.Clone(next.secrets), kept...)
	}
	was, stuck := lifted(next.app)
	var held []any
	if template != nil && brings {
		held = hold(next.app, was)
	}
	switch {
	case held != nil:
		configuration["ingress"] = map[string]any{"traffic": held}
	case stuck:
		configuration["ingress"] = map[string]any{"traffic": was}
	}
	if len(configuration) > 0 {
		properties["configuration"] = configuration
	}
	if err := d.arm.Patch(ctx, app, apiVersion, map[string]any{"properties": properties}, nil); err != nil {
		return err
	}
	if template == nil {
		return d.restart(ctx, app, next)
	}
	err := d.ready(ctx, app, isReady(next.app))
	if held == nil {
		return err
	}
	// The platform itself sends nothing to a revision that is not ready: even where ours
	// never was, the traffic is given back as it was found.
	back := map[string]any{"properties": map[string]any{"configuration": map[string]any{"ingress": map[string]any{"traffic": was}}}}
	if moved := d.arm.Patch(context.WithoutCancel(ctx), app, apiVersion, back, nil); err == nil {
		err = moved
	}
	return err
}

// holdLabel marks traffic that is held, so that a hold that was cut off is known by the
// next write, which lifts it.
const holdLabel = "patchbay-hold"

// lifted is the traffic of an app without holds of ours; stuck tells that there was one.
func lifted(app map[string]any) (was []any, stuck bool) {
	for _, t := range list(at(app, "properties", "configuration", "ingress", "traffic")) {
		entry := members(clone(t))
		if text(entry, "label") == holdLabel {
			stuck = true
			entry = map[string]any{"latestRevision": true, "weight": entry["weight"]}
		}
		was = append(was, entry)
	}
	return was, stuck
}

// hold is traffic with what follows the latest revision held at the one that is ready now;
// nil where nothing has to be held.
func hold(app map[string]any, was []any) []any {
	ready, follows := text(app, "properties", "latestReadyRevisionName"), false
	var held []any
	for _, t := range was {
		entry := members(clone(t))
		if latest, _ := entry["latestRevision"].(bool); latest {
			follows = true
			delete(entry, "latestRevision")
			entry["revisionName"] = ready
			if entry["label"] == nil {
				entry["label"] = holdLabel
			}
		}
		held = append(held, entry)
	}
	if !follows || ready == "" || !multiple(app) {
		return nil
	}
	return held
}

// stillUsed are the secrets that would go although an active revision names them: the
// platform refuses that where revisions run side by side.
func (d *Setting) stillUsed(ctx context.Context, app string, next *draft) ([]any, error) {
	gone := next.removed()
	if len(gone) == 0 || !multiple(next.app) {
		return nil, nil
	}
	var kept []any
	err := d.arm.List(ctx, app+"/revisions", apiVersion, func(item json.RawMessage) error {
		var revision map[string]any
		if err := json.Unmarshal(item, &revision); err != nil {
			return problem.New(problem.ARMFailed, app, "a revision cannot be read").Because(err)
		}
		active, _ := at(revision, "properties", "active").(bool)
		for _, s := range gone {
			if active && mentions(at(revision, "properties", "template"), text(s, "name")) > 0 && !slices.ContainsFunc(kept, func(k any) bool { return text(k, "name") == text(s, "name") }) {
				kept = append(kept, s)
			}
		}
		return nil
	})
	return kept, err
}

// restart starts the latest revision anew when a secret it reads has another value.
func (d *Setting) restart(ctx context.Context, app string, next *draft) error {
	latest := text(next.app, "properties", "latestRevisionName")
	if len(next.touched) == 0 || latest == "" {
		return nil
	}
	return d.arm.Post(ctx, app+"/revisions/"+latest+"/restart", apiVersion, nil, nil)
}

func isReady(app map[string]any) bool {
	latest := text(app, "properties", "latestRevisionName")
	return latest != "" && latest == text(app, "properties", "latestReadyRevisionName") &&
		!strings.EqualFold(text(app, "properties", "runningStatus"), "Stopped")
}

// ready waits until the latest revision is ready. An app that was not ready before is not
// waited for: it may need more than these settings.
func (d *Setting) ready(ctx context.Context, app string, was bool) error {
	end := time.Now().Add(d.patience.Limit)
	for was {
		var seen map[string]any
		if err := d.arm.Get(ctx, app, apiVersion, &seen); err != nil {
			return err
		}
		latest := text(seen, "properties", "latestRevisionName")
		if isReady(seen) {
			return nil
		}
		failed, err := d.failed(ctx, app, latest)
		if err != nil {
			return err
		}
		if failed || time.Now().Add(d.patience.Pause).After(end) {
			return problem.New(problem.ARMFailed, app, "the revision %s with the new settings is not ready; requests still go to %s",
				latest, text(seen, "properties", "latestReadyRevisionName")).While("roll out settings").
				WithFix("az containerapp logs show --ids %s --revision %s --type system", app, latest)
		}
		timer := time.NewTimer(d.patience.Pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
	return nil
}

// failed tells whether the platform has given a revision up.
func (d *Setting) failed(ctx context.Context, app, revision string) (bool, error) {
	if revision == "" {
		return false, nil
	}
	var seen map[string]any
	if err := d.arm.Get(ctx, app+"/revisions/"+revision, apiVersion, &seen); err != nil {
		return false, err
	}
	return strings.EqualFold(text(seen, "properties", "provisioningState"), "Failed"), nil
}
