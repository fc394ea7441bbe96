package appconfig

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/data/azappconfig"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// TestSDK drives key-values with Azure's own library, by key and by token.
func TestSDK(t *testing.T) {
	t.Parallel()
	b := withStore(t)
	for _, verb := range []string{reads, writes, deletes} {
		b.cloud.Grants().Allow(b.who.ObjectID, storeID, keyValueType+"/"+verb)
	}
	for name, c := range map[string]*azappconfig.Client{"key": b.byKey("Secondary"), "token": b.byToken()} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			key, label := "App/"+name+":a b ü", to.Ptr("prod")
			first, err := c.AddSetting(ctx, key, to.Ptr("one"), &azappconfig.AddSettingOptions{Label: label, ContentType: to.Ptr("text/plain")})
			want(t, err, 0)
			_, err = c.AddSetting(ctx, key, to.Ptr("two"), &azappconfig.AddSettingOptions{Label: label})
			want(t, err, 412)
			_, err = c.GetSetting(ctx, key, nil)
			want(t, err, 404) // another label
			second, err := c.SetSetting(ctx, key, to.Ptr("two"), &azappconfig.SetSettingOptions{Label: label, OnlyIfUnchanged: first.ETag})
			want(t, err, 0)
			_, err = c.SetSetting(ctx, key, to.Ptr("three"), &azappconfig.SetSettingOptions{Label: label, OnlyIfUnchanged: first.ETag})
			want(t, err, 412)
			got, err := c.GetSetting(ctx, key, &azappconfig.GetSettingOptions{Label: label})
			want(t, err, 0)
			if *got.Value != "two" || *got.Label != "prod" || *got.ETag != *second.ETag || got.SyncToken == "" {
				t.Errorf("read back: %+v", got.Setting)
			}
			_, err = c.GetSetting(ctx, key, &azappconfig.GetSettingOptions{Label: label, OnlyIfChanged: second.ETag})
			want(t, err, 304)
			_, err = c.SetReadOnly(ctx, key, true, &azappconfig.SetReadOnlyOptions{Label: label})
			want(t, err, 0)
			_, err = c.SetSetting(ctx, key, to.Ptr("three"), &azappconfig.SetSettingOptions{Label: label})
			want(t, err, 409)
			_, err = c.DeleteSetting(ctx, key, &azappconfig.DeleteSettingOptions{Label: label})
			want(t, err, 409)
			_, err = c.SetReadOnly(ctx, key, false, &azappconfig.SetReadOnlyOptions{Label: label})
			want(t, err, 0)
			_, err = c.DeleteSetting(ctx, key, &azappconfig.DeleteSettingOptions{Label: label, OnlyIfUnchanged: to.Ptr(azcore.ETag("x"))})
			want(t, err, 412)
			_, err = c.DeleteSetting(ctx, key, &azappconfig.DeleteSettingOptions{Label: label})
			want(t, err, 0)
			_, err = c.DeleteSetting(ctx, key, &azappconfig.DeleteSettingOptions{Label: label})
			want(t, err, 0) // nothing there is no error
		})
	}
}

func TestSDKListsInPages(t *testing.T) {
	t.Parallel()
	b := withStore(t)
	c := b.byKey("Primary")
	for n := range 120 {
		_, err := c.SetSetting(t.Context(), fmt.Sprintf("app:%03d", n), to.Ptr("v"), nil)
		want(t, err, 0)
	}
	_, err := c.SetSetting(t.Context(), "other", to.Ptr("v"), &azappconfig.SetSettingOptions{Label: to.Ptr("x")})
	want(t, err, 0)
	count := func(key, label string) (items, pages int) {
		selector := azappconfig.SettingSelector{KeyFilter: to.Ptr(key), LabelFilter: to.Ptr(label), Fields: azappconfig.AllSettingFields()}
		for pager := c.NewListSettingsPager(selector, nil); pager.More() && pages < 9; pages++ {
			page, err := pager.NextPage(t.Context())
			want(t, err, 0)
			items += len(page.Settings)
		}
		return items, pages
	}
	for _, row := range []struct {
		key, label   string
		items, pages int
	}{{"*", "*", 121, 2}, {"app:*", "*", 120, 2}, {"app:00*", "*", 10, 1}, {"other", "x", 1, 1}, {"other", "\x00", 0, 1}, {"app:001,app:002,other", "*", 3, 1}, {"app:001", "\x00", 1, 1}} {
		if items, pages := count(row.key, row.label); items != row.items || pages != row.pages {
			t.Errorf("%s %q: %d on %d pages, want %d on %d", row.key, row.label, items, pages, row.items, row.pages)
		}
	}
}

func TestReadOnlyKeysRefuseWrites(t *testing.T) {
	t.Parallel()
	b := withStore(t)
	c := b.byKey("Primary")
	_, err := c.SetSetting(t.Context(), "k", to.Ptr("v"), nil)
	want(t, err, 0)
	reader := b.byKey("Primary Read Only")
	_, err = reader.GetSetting(t.Context(), "k", nil)
	want(t, err, 0)
	_, err = reader.SetSetting(t.Context(), "k", to.Ptr("w"), nil)
	want(t, err, 403)
	_, err = reader.DeleteSetting(t.Context(), "k", nil)
	want(t, err, 403)
	_, err = reader.SetReadOnly(t.Context(), "k", true, nil)
	want(t, err, 403)
}

// TestSignatureIsReallyChecked spoils one thing at a time.
func TestSignatureIsReallyChecked(t *testing.T) {
	t.Parallel()
	b := withStore(t)
	good := request{method: "PUT", path: "/kv/k?api-version=1.0", body: `{"value":"v"}`}
	if status, header, said := b.send(good); status != 200 || header.Get("ETag") == "" || header.Get("Sync-Token") == "" {
		t.Fatalf("good request: %d %s", status, said)
	}
	replace := func(old, new string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, new, 1))
		}
	}
	for name, spoilt := range map[string]request{
		"old date":           {date: time.Now().Add(-20 * time.Minute)},
		"early date":         {date: time.Now().Add(20 * time.Minute)},
		"another content":    {spoil: func(r *http.Request) { r.Header.Set("x-ms-content-sha256", "AAAA") }},
		"another query":      {spoil: func(r *http.Request) { r.URL.RawQuery += "&label=x" }},
		"unknown credential": {spoil: replace("Credential=", "Credential=x")},
		"unsigned host":      {spoil: replace("host;", "")},
		"unsigned content":   {spoil: replace(";x-ms-content-sha256", "")},
		"signature":          {spoil: replace("Signature=", "Signature=AAAA")},
		"nothing":            {spoil: func(r *http.Request) { r.Header.Del("Authorization") }},
		"another scheme":     {spoil: replace("HMAC-SHA256", "Basic")},
	} {
		spoilt.method, spoilt.path, spoilt.body = good.method, good.path, good.body
		status, header, _ := b.send(spoilt)
		if challenges := strings.Join(header.Values("WWW-Authenticate"), " "); status != 401 || !strings.Contains(challenges, "HMAC-SHA256") || !strings.Contains(challenges, "Bearer") {
			t.Errorf("%s: %d %s", name, status, challenges)
		}
	}
	if status, _, _ := b.send(request{method: "GET", path: "/kv/k"}); status != 400 {
		t.Errorf("without an api-version: %d", status)
	}
	if status, _, _ := b.send(request{method: "GET", path: "/nothing?api-version=1.0"}); status != 404 {
		t.Errorf("unknown path: %d", status)
	}
}

func TestTokensNeedTheRightOfTheVerb(t *testing.T) {
	t.Parallel()
	b := withStore(t)
	_, err := b.byKey("Primary").SetSetting(t.Context(), "k", to.Ptr("v"), nil)
	want(t, err, 0)
	c := b.byToken()
	get := func() error { _, err := c.GetSetting(t.Context(), "k", nil); return err }
	set := func() error { _, err := c.SetSetting(t.Context(), "k", to.Ptr("w"), nil); return err }
	remove := func() error { _, err := c.DeleteSetting(t.Context(), "k", nil); return err }
	want(t, get(), 403)
	b.cloud.Grants().Allow(b.who.ObjectID, storeID, keyValueType+"/read")
	want(t, get(), 0)
	want(t, set(), 403)
	b.cloud.Grants().Allow(b.who.ObjectID, storeID, keyValueType+"/write")
	want(t, set(), 0)
	want(t, remove(), 403)
	b.cloud.Grants().Allow(b.who.ObjectID, storeID, keyValueType+"/delete")
	want(t, remove(), 0)
	bearer := func(audience string) int {
		token, _, err := b.cloud.Directory().Token(b.who.ObjectID, audience)
		if err != nil {
			t.Fatal(err)
		}
		status, _, _ := b.send(request{method: "GET", path: "/kv?api-version=1.0", spoil: func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }})
		return status
	}
	for audience, status := range map[string]int{"https://azconfig.io": 200, "https://appconfig.azure.com/": 200, "https://vault.azure.net": 401, "https://management.azure.com": 401} {
		if got := bearer(audience); got != status {
			t.Errorf("%s: %d, want %d", audience, got, status)
		}
	}
}

// TestKeyAccessOffDeletesKeys: and switching it on again makes other ones.
func TestKeyAccessOffDeletesKeys(t *testing.T) {
	t.Parallel()
	b := withStore(t)
	c, before := b.byKey("Primary"), b.key("Primary")
	b.patch(map[string]any{"disableLocalAuth": true})
	if keys, _ := b.run("POST", "/listKeys", nil)["value"].([]any); len(keys) != 0 {
		t.Errorf("%d keys", len(keys))
	}
	_, err := c.GetSetting(t.Context(), "k", nil)
	want(t, err, 401)
	b.refused(403, "Forbidden", "PUT", "/keyValues/k", provider.Document{"properties": map[string]any{"value": "v"}})
	b.patch(map[string]any{"disableLocalAuth": false})
	if after := b.key("Primary"); after["id"] == before["id"] || after["value"] == before["value"] {
		t.Error("the old key came back")
	}
}

func TestRegeneratedKeyEndsTheOldOne(t *testing.T) {
	t.Parallel()
	b := withStore(t)
	c, other := b.byKey("Primary"), b.byKey("Secondary")
	b.run("POST", "/regenerateKey", provider.Document{"id": b.key("Primary")["id"]})
	_, err := c.GetSetting(t.Context(), "k", nil)
	want(t, err, 401)
	_, err = other.GetSetting(t.Context(), "k", nil)
	want(t, err, 404)
	_, err = b.byKey("Primary").GetSetting(t.Context(), "k", nil)
	want(t, err, 404)
	b.refused(400, "InvalidRequestContent", "POST", "/regenerateKey", provider.Document{"id": "x"})
}

func TestPublicAccessOffShutsEverybodyOut(t *testing.T) {
	t.Parallel()
	b := withStore(t)
	c := b.byKey("Primary")
	b.patch(map[string]any{"publicNetworkAccess": "Disabled"})
	_, err := c.GetSetting(t.Context(), "k", nil)
	want(t, err, 403)
}

// TestARMChild: the same key-values, under names that a path can carry.
func TestARMChild(t *testing.T) {
	t.Parallel()
	b := withStore(t)
	b.run("PUT", "/keyValues/a~2Fb$prod", provider.Document{"properties": map[string]any{"value": "v", "contentType": "text/plain", "tags": map[string]any{"x": "y"}}})
	got, err := b.byKey("Primary").GetSetting(t.Context(), "a/b", &azappconfig.GetSettingOptions{Label: to.Ptr("prod")})
	want(t, err, 0)
	if *got.Value != "v" || got.Tags["x"] != "y" {
		t.Errorf("read back: %+v", got.Setting)
	}
	if doc := b.run("GET", "/keyValues/a~2Fb$prod", nil); provider.Text(doc, "properties", "value") != "v" || provider.Text(doc, "properties", "label") != "prod" {
		t.Errorf("document: %v", doc)
	}
	b.run("DELETE", "/keyValues/a~2Fb$prod", nil)
	b.refused(404, "ResourceNotFound", "GET", "/keyValues/a~2Fb$prod", nil)
	b.refused(400, "InvalidRequestContent", "GET", "/keyValues/a~2", nil)
}

// TestDeletedStoreKeepsItsName: until it is purged, or recovered with all it held.
func TestDeletedStoreKeepsItsName(t *testing.T) {
	t.Parallel()
	b := withStore(t)
	_, err := b.byKey("Primary").SetSetting(t.Context(), "k", to.Ptr("v"), nil)
	want(t, err, 0)
	b.run("DELETE", "", nil)
	b.refused(409, "NameUnavailable", "PUT", "", storeBody(nil))
	b.run("PUT", "", storeBody(map[string]any{"createMode": "Recover"}))
	_, err = b.byKey("Primary").GetSetting(t.Context(), "k", nil)
	want(t, err, 0)
	b.run("DELETE", "", nil)
	const purge = "/subscriptions/0000/providers/Microsoft.AppConfiguration/locations/westeurope/deletedConfigurationStores/Store-1/purge"
	if _, err := b.front.Run(t.Context(), "POST", purge, nil); err != nil {
		t.Fatal(err)
	}
	b.run("PUT", "", storeBody(nil))
	_, err = b.byKey("Primary").GetSetting(t.Context(), "k", nil)
	want(t, err, 404)
}

// TestNoDocumentHoldsASecret also looks at the log.
func TestNoDocumentHoldsASecret(t *testing.T) {
	t.Parallel()
	b := withStore(t)
	secret := provider.Text(b.key("Primary"), "value")
	raw, _ := json.Marshal([]any{b.run("GET", "", nil)})
	if strings.Contains(string(raw), secret) || strings.Contains(b.cloud.Logged(), secret) {
		t.Error("a key shows")
	}
}

func TestRestart(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.boot()
	b.run("PUT", "", storeBody(nil))
	c, at := b.byKey("Primary"), b.endpoint()
	_, err := c.SetSetting(t.Context(), "k", to.Ptr("v"), nil)
	want(t, err, 0)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.boot().Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = c.GetSetting(t.Context(), "k", nil)
	want(t, err, 0)
	if b.endpoint() != at {
		t.Errorf("moved from %s to %s", at, b.endpoint())
	}
}

func FuzzParseFilter(f *testing.F) {
	for _, seed := range []string{"", "*", "a*", "a,b*", `a\,b`, "a*b", "\x00", `\`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := parseFilter(text)
		plain := !strings.ContainsAny(text, "*,\\\x00") && text != "" && strings.ToValidUTF8(text, "") == text
		if plain && (!ok || !got.lets(text) || got.lets(text+"x")) {
			t.Errorf("%q does not let itself through, or too much", text)
		}
	})
}

func FuzzParseName(f *testing.F) {
	for _, seed := range []string{"a", "a$b", "a~2Fb", "a~2", "~zz", "$"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		key, label, err := parseName(name)
		if err == nil && !strings.Contains(name, "~") && key+"$"+label != name && key != name {
			t.Errorf("%q reads as %q and %q", name, key, label)
		}
	})
}
