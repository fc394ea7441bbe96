package probe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/connection/grammar"
	"github.com/patchbay/patchbay/internal/problem"
)

// redisPlace is where the app's settings point.
type redisPlace struct {
	host, port, user, password, database string // user is empty where only a password is given
	plain                                bool   // TLS is switched off
}

const redisTLSPort = "6380"

// redisForms tells how each client type's settings are read; the rest are redis URLs.
func redisForms() map[string]func(*visit) (redisPlace, error) {
	return map[string]func(*visit) (redisPlace, error){
		"dotnet":     redisStackExchange,
		"none":       redisParts("AZURE_REDIS_HOST", "AZURE_REDIS_PORT", "AZURE_REDIS_PASSWORD", "AZURE_REDIS_DATABASE", "AZURE_REDIS_SSL"),
		"springBoot": redisParts("spring.redis.host", "spring.redis.port", "spring.redis.password", "spring.redis.database", "spring.redis.ssl"),
	}
}

func (v *visit) redisPlace() (redisPlace, error) {
	read, ok := redisForms()[v.client()]
	switch {
	case v.identity():
		read = func(v *visit) (redisPlace, error) {
			return redisPlace{host: v.get("AZURE_REDIS_HOST"), port: orElse(v.facts.Text("port"), redisTLSPort)}, nil
		}
	case !ok:
		read = redisURL
	}
	place, err := read(v)
	if err == nil && len(v.missing) > 0 {
		err = errors.New("settings are missing")
	}
	if err == nil && place.host == "" {
		err = errors.New("it names no host")
	}
	if _, bad := strconv.ParseUint(place.port, 10, 16); err == nil && bad != nil {
		err = errors.New("its port is not a number")
	}
	return place, err
}

func redisStackExchange(v *visit) (redisPlace, error) {
	endpoints, o, err := grammar.ParseStackExchange(v.get("AZURE_REDIS_CONNECTIONSTRING"))
	if err != nil {
		return redisPlace{}, err
	}
	host, port, err := net.SplitHostPort(endpoints[0])
	if err != nil {
		return redisPlace{}, errors.New("its endpoint has no port")
	}
	return redisPlace{host: host, port: port, user: o["user"], password: o["password"], database: orElse(o["defaultdatabase"], "0"), plain: !strings.EqualFold(o["ssl"], "true")}, nil
}

func redisURL(v *visit) (redisPlace, error) {
	u, err := url.Parse(v.get("AZURE_REDIS_CONNECTIONSTRING"))
	if err != nil || (u.Scheme != "rediss" && u.Scheme != "redis") {
		return redisPlace{}, errors.New("it is not a redis URL")
	}
	password, _ := u.User.Password()
	return redisPlace{
		host: u.Hostname(), port: orElse(u.Port(), "6379"), user: u.User.Username(), password: password,
		database: orElse(strings.Trim(u.Path, "/"), "0"), plain: u.Scheme == "redis",
	}, nil
}

func redisParts(host, port, password, database, ssl string) func(*visit) (redisPlace, error) {
	return func(v *visit) (redisPlace, error) {
		return redisPlace{
			host: v.get(host), port: v.get(port), password: v.get(password), database: v.get(database),
			plain: !strings.EqualFold(v.get(ssl), "true"),
		}, nil
	}
}

// redis signs in with the key, chooses the database and pings. For an identity it
// goes as far as the first answer.
func (p *Prober) redis(ctx context.Context, v *visit) outcome {
	place := redisPlace{host: v.facts.Text(connection.FactHost), port: orElse(v.facts.Text("port"), redisTLSPort)}
	if !v.bare() {
		var err error
		if place, err = v.redisPlace(); err != nil {
			return v.unsettled(err)
		}
	}
	at := net.JoinHostPort(place.host, place.port)
	conn, err := p.dialRedis(ctx, place)
	if err != nil {
		return v.noAnswer(at, err)
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline) // a connection that takes no deadline is already broken and says so below
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	session := &redisSession{conn: conn, in: bufio.NewReader(conn)}
	if v.bare() || v.identity() && v.token == "" {
		if _, err := session.do("PING"); err != nil {
			return v.noAnswer(at, err)
		}
		return outcome{unproven: identityUnproven}
	}
	return v.redisLogin(session, place, at)
}

func (p *Prober) dialRedis(ctx context.Context, place redisPlace) (net.Conn, error) {
	if place.plain {
		return p.options.Dial(ctx, "tcp", net.JoinHostPort(place.host, place.port))
	}
	return p.dialTLS(ctx, place.host, place.port)
}

// redisLogin runs the app's first commands; each has its own meaning when refused.
func (v *visit) redisLogin(s *redisSession, place redisPlace, at string) outcome {
	for _, step := range []struct {
		command []string
		refused func(answer string) outcome
	}{
		{v.redisAuth(place), func(a string) outcome { return v.refused("the cache says: " + a) }},
		{[]string{"SELECT", orElse(place.database, "0")}, func(a string) outcome {
			return outcome{code: problem.DatabaseMissing, detail: fmt.Sprintf("the cache has no database %s: %s", place.database, a)}
		}},
		{[]string{"PING"}, func(a string) outcome { return v.refused("the cache says: " + a) }},
	} {
		answer, err := s.do(step.command...)
		switch {
		case err != nil:
			return v.noAnswer(at, err)
		case strings.HasPrefix(answer, "-"):
			return step.refused(answer[1:])
		}
	}
	return outcome{}
}

// redisAuth is the command that signs in: with a key, or as a principal with its token.
func (v *visit) redisAuth(place redisPlace) []string {
	if v.token != "" {
		return []string{"AUTH", v.c.Properties.Auth.PrincipalID, v.token}
	}
	if place.user != "" {
		return []string{"AUTH", place.user, place.password}
	}
	return []string{"AUTH", place.password}
}

// redisSession speaks as much of the protocol as a knock needs: a command, and an
// answer of one line. (The client library logs to the process's standard error and
// retries on its own; a probe must do neither.)
type redisSession struct {
	conn net.Conn
	in   *bufio.Reader
}

// do sends one command and returns the first line of the answer with its type mark.
func (s *redisSession) do(words ...string) (string, error) {
	var out strings.Builder
	fmt.Fprintf(&out, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&out, "$%d\r\n%s\r\n", len(w), w)
	}
	if _, err := io.WriteString(s.conn, out.String()); err != nil {
		return "", err
	}
	line, err := s.in.ReadSlice('\n')
	if err != nil {
		return "", err
	}
	text := strings.TrimRight(string(line), "\r\n")
	if text == "" || !strings.ContainsRune("+-:", rune(text[0])) {
		return "", errors.New("the answer is not Redis's protocol")
	}
	return text, nil
}
