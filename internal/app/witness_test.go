package app

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

// asWitness, given as actAs through an app setting, makes the test binary the app of a
// site: it answers for what its settings and its identity let it do, and for nothing else.
const asWitness = "app"

// witness serves until its process is ended.
func witness() int {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /blob", listContainers)
	mux.HandleFunc("GET /pg", countVisit)
	mux.HandleFunc("GET /mysql", countMySQL)
	mux.HandleFunc("GET /redis", keepVisit)
	mux.HandleFunc("GET /sql", sqlVisit)
	mux.HandleFunc("GET /env", tellEnvironment)
	fmt.Fprintln(os.Stderr, http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), mux))
	return 1
}

// identityToken gets a token as whom the app's settings of one service say: a service
// principal with its secret, a user-assigned identity by its client id, else the app's own.
func identityToken(ctx context.Context, service, resource string) (string, error) {
	setting := func(name string) string { return os.Getenv("AZURE_" + service + "_" + name) }
	if secret := setting("CLIENTSECRET"); secret != "" {
		form := url.Values{"grant_type": {"client_credentials"}, "client_id": {setting("CLIENTID")}, "client_secret": {secret}, "scope": {resource + "/.default"}}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, os.Getenv("AZURE_AUTHORITY_HOST")+"/"+setting("TENANTID")+"/oauth2/v2.0/token", strings.NewReader(form.Encode()))
		if err != nil {
			return "", err
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return readToken(req)
	}
	query := url.Values{"api-version": {"2019-08-01"}, "resource": {resource}}
	if id := setting("CLIENTID"); id != "" {
		query.Set("client_id", id)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, os.Getenv("IDENTITY_ENDPOINT")+"?"+query.Encode(), nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("X-IDENTITY-HEADER", os.Getenv("IDENTITY_HEADER"))
	return readToken(req)
}

func readToken(req *http.Request) (string, error) {
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var body struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil || body.AccessToken == "" {
		return "", fmt.Errorf("no token: %d %w", resp.StatusCode, err)
	}
	return body.AccessToken, nil
}

// listContainers answers what the storage account answers.
func listContainers(w http.ResponseWriter, r *http.Request) {
	token, err := identityToken(r.Context(), "STORAGEBLOB", "https://storage.azure.com")
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, os.Getenv("AZURE_STORAGEBLOB_RESOURCEENDPOINT")+"?comp=list", nil)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("x-ms-version", "2021-12-02")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body)
}

// visits is what the app found in its table.
type visits struct {
	Count       int
	Owner, User string
}

// countVisit adds a row to the app's own table and counts them.
func countVisit(w http.ResponseWriter, r *http.Request) {
	v, err := visit(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_ = json.NewEncoder(w).Encode(v)
}

func visit(ctx context.Context) (v visits, err error) {
	config, err := pgx.ParseConfig(os.Getenv("AZURE_POSTGRESQL_CONNECTIONSTRING"))
	if err != nil {
		return v, err
	}
	if config.Password, err = identityToken(ctx, "POSTGRESQL", "https://ossrdbms-aad.database.windows.net"); err != nil {
		return v, err
	}
	db, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return v, err
	}
	defer func() { _ = db.Close(context.WithoutCancel(ctx)) }()
	if _, err := db.Exec(ctx, "create table if not exists visits (at timestamptz default now())"); err != nil {
		return v, err
	}
	if _, err := db.Exec(ctx, "insert into visits default values"); err != nil {
		return v, err
	}
	err = db.QueryRow(ctx, "select (select count(*) from visits), tableowner, current_user from pg_tables where tablename = 'visits'").Scan(&v.Count, &v.Owner, &v.User)
	return v, err
}

// keepVisit signs in to the cache with a token, writes a key and reads it back.
func keepVisit(w http.ResponseWriter, r *http.Request) {
	token, err := identityToken(r.Context(), "REDIS", "https://redis.azure.com")
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	host := os.Getenv("AZURE_REDIS_HOST")
	db := redis.NewClient(&redis.Options{Addr: host + ":6380", Username: readWho(token).objectID, Password: token, MaxRetries: -1,
		DisableIdentity: true, TLSConfig: &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}})
	defer db.Close()
	err = db.Set(r.Context(), "visited", "yes", 0).Err()
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, db.Get(r.Context(), "visited").Val())
}

// makeWitness makes a site that runs the witness.
func (c *cloudUnderTest) makeWitness(name string) {
	c.t.Helper()
	line, err := json.Marshal([]string{os.Args[0]})
	if err != nil {
		c.t.Fatal(err)
	}
	c.makeSite(name, map[string]string{actAs: asWitness})
	c.arm("PUT", c.site(name), siteVersion, map[string]any{"location": "westeurope", "properties": map[string]any{"siteConfig": map[string]any{"appCommandLine": string(line)}}})
}

// visit asks a site's app, and waits while it is starting.
func (c *cloudUnderTest) visit(t *testing.T, site, path string) (int, string) {
	t.Helper()
	at := c.call(c.ready.Endpoint, c.token, "GET", "/_local/sites/"+site, nil).text("url")
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		resp, err := c.http.Get(at + path)
		if err == nil {
			raw, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err == nil {
				return resp.StatusCode, string(raw)
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the app of %s does not answer: %v", site, err)
		}
	}
}
