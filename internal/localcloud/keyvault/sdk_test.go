package keyvault

import (
	"fmt"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
)

// TestSDK drives the life of secrets with Azure's own library.
func TestSDK(t *testing.T) {
	t.Parallel()
	b := withVault(t)
	ctx, c := t.Context(), b.sdk("127.0.0.1")
	const value = `p;"'@%={ü` + "\n"
	first, err := c.SetSecret(ctx, "Db-Password", azsecrets.SetSecretParameters{Value: to.Ptr("old"), Tags: map[string]*string{"owner": to.Ptr("me")}}, nil)
	want(t, err, 0, "")
	_, err = c.SetSecret(ctx, "db-password", azsecrets.SetSecretParameters{Value: to.Ptr(value), ContentType: to.Ptr("text/plain")}, nil)
	want(t, err, 0, "")
	got, err := c.GetSecret(ctx, "DB-PASSWORD", "", nil)
	want(t, err, 0, "")
	if *got.Value != value || *got.ContentType != "text/plain" || got.ID.Name() != "Db-Password" {
		t.Errorf("latest: %+v", got.Secret)
	}
	old, err := c.GetSecret(ctx, "db-password", first.ID.Version(), nil)
	want(t, err, 0, "")
	if *old.Value != "old" || *old.Tags["owner"] != "me" {
		t.Errorf("version: %+v", old.Secret)
	}
	_, err = c.UpdateSecretProperties(ctx, "db-password", got.ID.Version(), azsecrets.UpdateSecretPropertiesParameters{
		SecretAttributes: &azsecrets.SecretAttributes{Enabled: to.Ptr(false)}}, nil)
	want(t, err, 0, "")
	_, err = c.GetSecret(ctx, "db-password", "", nil)
	want(t, err, 403, "Forbidden")
	_, err = c.GetSecret(ctx, "nothing", "", nil)
	want(t, err, 404, "SecretNotFound")

	// An expired secret can still be read: its lifetime is a remark.
	_, err = c.SetSecret(ctx, "expired", azsecrets.SetSecretParameters{Value: to.Ptr("v"), SecretAttributes: &azsecrets.SecretAttributes{Expires: to.Ptr(time.Now().Add(-time.Hour))}}, nil)
	want(t, err, 0, "")
	_, err = c.GetSecret(ctx, "expired", "", nil)
	want(t, err, 0, "")
}

func TestSDKLists(t *testing.T) {
	t.Parallel()
	b := withVault(t)
	ctx, c := t.Context(), b.sdk("127.0.0.1")
	for n := range 30 {
		_, err := c.SetSecret(ctx, fmt.Sprintf("s%02d", n%28), azsecrets.SetSecretParameters{Value: to.Ptr("v")}, nil)
		want(t, err, 0, "")
	}
	pages, names := 0, map[string]bool{}
	for pager := c.NewListSecretPropertiesPager(nil); pager.More() && pages < 9; pages++ {
		page, err := pager.NextPage(ctx)
		want(t, err, 0, "")
		for _, item := range page.Value {
			names[item.ID.Name()] = true
		}
	}
	if len(names) != 28 || pages != 2 {
		t.Errorf("%d secrets on %d pages", len(names), pages)
	}
	page, err := c.NewListSecretPropertiesVersionsPager("s01", nil).NextPage(ctx)
	want(t, err, 0, "")
	if len(page.Value) != 2 {
		t.Errorf("%d versions", len(page.Value))
	}
}

// TestSDKSoftDelete: a deleted name stays taken until it is recovered or purged, and
// both ways take a moment.
func TestSDKSoftDelete(t *testing.T) {
	t.Parallel()
	b := withVault(t)
	ctx, c := t.Context(), b.sdk("127.0.0.1")
	set := func() error {
		_, err := c.SetSecret(ctx, "s", azsecrets.SetSecretParameters{Value: to.Ptr("v")}, nil)
		return err
	}
	want(t, set(), 0, "")
	_, err := c.DeleteSecret(ctx, "s", nil)
	want(t, err, 0, "")
	_, err = c.GetSecret(ctx, "s", "", nil)
	want(t, err, 404, "SecretNotFound")
	_, err = c.GetDeletedSecret(ctx, "s", nil)
	want(t, err, 404, "SecretNotFound")
	want(t, set(), 409, "Conflict")
	b.cloud.Advance(time.Second)
	_, err = c.GetDeletedSecret(ctx, "s", nil)
	want(t, err, 0, "")
	want(t, set(), 409, "Conflict")
	_, err = c.RecoverDeletedSecret(ctx, "s", nil)
	want(t, err, 0, "")
	_, err = c.GetSecret(ctx, "s", "", nil)
	want(t, err, 404, "SecretNotFound")
	b.cloud.Advance(time.Second)
	_, err = c.GetSecret(ctx, "s", "", nil)
	want(t, err, 0, "")
	_, err = c.DeleteSecret(ctx, "s", nil)
	want(t, err, 0, "")
	b.cloud.Advance(time.Second)
	_, err = c.PurgeDeletedSecret(ctx, "s", nil)
	want(t, err, 0, "")
	want(t, set(), 0, "")
}
