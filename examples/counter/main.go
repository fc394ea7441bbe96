// Command counter is a web app that counts its visitors in the services it is
// connected to. It finds them by the documented names of its settings and by
// nothing else, and keeps no connection open: every request proves anew that the
// app reaches them.
//
//	AZURE_POSTGRESQL_CONNECTIONSTRING          a DSN without a password: a token of the app's identity serves as one
//	AZURE_POSTGRESQL_<NAME>_CONNECTIONSTRING   a DSN with a password; NAME is the app's argument
//	AZURE_REDIS_CONNECTIONSTRING               a rediss:// address with a key
//
// POST /count counts one more, GET /count tells, GET /healthz says that it runs.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

// databases is the audience of tokens that Azure's PostgreSQL takes as passwords.
const databases = "https://ossrdbms-aad.database.windows.net"

func main() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /count", func(w http.ResponseWriter, r *http.Request) { answer(w, r, 0) })
	mux.HandleFunc("POST /count", func(w http.ResponseWriter, r *http.Request) { answer(w, r, 1) })
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), mux))
}

// counters are the app's services in the order it tells of them.
func counters() map[string]func(ctx context.Context, dsn string, add int) (int64, error) {
	found := map[string]func(context.Context, string, int) (int64, error){
		"AZURE_POSTGRESQL_CONNECTIONSTRING": byIdentity,
		"AZURE_REDIS_CONNECTIONSTRING":      inRedis,
	}
	if len(os.Args) > 1 {
		found["AZURE_POSTGRESQL_"+strings.ToUpper(os.Args[1])+"_CONNECTIONSTRING"] = byPassword
	}
	return found
}

// answer counts in every service that has a setting and tells each one's count
// under the setting's name; 503 when one refuses or none is there.
func answer(w http.ResponseWriter, r *http.Request, add int) {
	ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
	defer cancel()
	status, told := http.StatusOK, map[string]any{}
	for name, count := range counters() {
		value := os.Getenv(name)
		if value == "" {
			continue
		}
		n, err := count(ctx, value, add)
		if told[name] = n; err != nil {
			status, told[name] = http.StatusServiceUnavailable, err.Error()
		}
	}
	if len(told) == 0 {
		status, told["error"] = http.StatusServiceUnavailable, "no setting names a service to count in"
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(told)
}

func byIdentity(ctx context.Context, dsn string, add int) (int64, error) {
	password, err := token(ctx, databases)
	if err != nil {
		return 0, fmt.Errorf("get a token: %w", err)
	}
	return inTable(ctx, dsn, password, "visits", add)
}

func byPassword(ctx context.Context, dsn string, add int) (int64, error) {
	return inTable(ctx, dsn, "", "receipts", add)
}

// inTable adds rows to a table of the database and counts them.
func inTable(ctx context.Context, dsn, password, table string, add int) (n int64, err error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return 0, err
	}
	if password != "" {
		config.Password = password
	}
	db, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return 0, err
	}
	defer func() { _ = db.Close(context.WithoutCancel(ctx)) }()
	if _, err := db.Exec(ctx, "create table if not exists "+table+" (at timestamptz not null default now())"); err != nil {
		return 0, err
	}
	if _, err := db.Exec(ctx, "insert into "+table+" select now() from generate_series(1, $1::int)", add); err != nil {
		return 0, err
	}
	err = db.QueryRow(ctx, "select count(*) from "+table).Scan(&n)
	return n, err
}

func inRedis(ctx context.Context, address string, add int) (int64, error) {
	options, err := redis.ParseURL(address)
	if err != nil {
		return 0, err
	}
	client := redis.NewClient(options)
	defer func() { _ = client.Close() }()
	return client.IncrBy(ctx, "visits", int64(add)).Result()
}

// token asks the platform for a token of the app's own identity.
func token(ctx context.Context, resource string) (string, error) {
	address := os.Getenv("IDENTITY_ENDPOINT") + "?api-version=2019-08-01&resource=" + url.QueryEscape(resource)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("X-IDENTITY-HEADER", os.Getenv("IDENTITY_HEADER"))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the identity endpoint answered %s", response.Status)
	}
	var body struct {
		AccessToken string `json:"access_token"`
	}
	err = json.NewDecoder(response.Body).Decode(&body)
	return body.AccessToken, err
}
