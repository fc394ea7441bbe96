package signalr

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// pubSubVersions are versions of Web PubSub's data plane.
var pubSubVersions = []string{"2021-10-01", "2022-11-01", "2023-07-01", "2024-01-01", "2024-12-01"}

const (
	rest   = "RESTAPI"
	socket = "ClientConnection"
)

// webPubSubRoutes are the requests of a Web PubSub service.
func webPubSubRoutes(*plane) []route {
	type handler = func(p *plane, w http.ResponseWriter, r *http.Request, who caller)
	checked := func(h handler) handler {
		return func(p *plane, w http.ResponseWriter, r *http.Request, who caller) {
			if versioned(w, r, pubSubVersions...) {
				h(p, w, r, who)
			}
		}
	}
	return []route{
		{"GET /api/health", "", "", func(p *plane, w http.ResponseWriter, _ *http.Request, _ caller) {}},
		{"POST /api/hubs/{hub}/{verb}", rest, "", pubSubHub},
		{"POST /api/hubs/{hub}/groups/{group}/{verb}", rest, "group/send/action", checked(pubSubSend)},
		{"POST /api/hubs/{hub}/users/{user}/{verb}", rest, "user/send/action", checked(pubSubSend)},
		{"POST /api/hubs/{hub}/connections/{connection}/{verb}", rest, "clientConnection/send/action", checked(pubSubSend)},
		{"GET /api/hubs/{hub}/users/{user}", rest, "user/read", checked(present)},
		{"GET /api/hubs/{hub}/groups/{group}", rest, "group/read", checked(present)},
		{"GET /api/hubs/{hub}/connections/{connection}", rest, "clientConnection/read", checked(present)},
		{"PUT /api/hubs/{hub}/groups/{into}/connections/{connection}", rest, "group/write", checked(joined)},
		{"DELETE /api/hubs/{hub}/groups/{into}/connections/{connection}", rest, "group/write", checked(joined)},
		{"PUT /api/hubs/{hub}/users/{user}/groups/{into}", rest, "group/write", checked(joined)},
		{"GET /client/hubs/{hub}", socket, clientConnection, pubSubClient},
	}
}

// picked reads an audience out of a path.
func picked(r *http.Request) audience {
	return audience{hub: r.PathValue("hub"), group: r.PathValue("group"), user: r.PathValue("user"), connection: r.PathValue("connection")}
}

func present(p *plane, w http.ResponseWriter, r *http.Request, _ caller) {
	exists(w, len(p.hubs.find(picked(r))) > 0)
}

func joined(p *plane, w http.ResponseWriter, r *http.Request, _ caller) {
	a := picked(r)
	exists(w, p.hubs.join(a, r.PathValue("into"), r.Method == http.MethodPut) || a.user != "")
}

// pubSubHub tells the two verbs of a hub apart: each needs a right of its own.
func pubSubHub(p *plane, w http.ResponseWriter, r *http.Request, _ caller) {
	verbs := map[string]route{
		":send":          {network: rest, action: "hub/send/action", answer: pubSubSend},
		":generateToken": {network: rest, action: "clientConnection/generateToken/action", answer: pubSubToken},
	}
	rt, ok := verbs[r.PathValue("verb")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	if versioned(w, r, pubSubVersions...) {
		p.serve(w, r, rt)
	}
}

// pubSubSend hands a message on: text and JSON as text, anything else as bytes.
func pubSubSend(p *plane, w http.ResponseWriter, r *http.Request, _ caller) {
	if r.PathValue("verb") != ":send" {
		http.NotFound(w, r)
		return
	}
	kind := r.Header.Get("Content-Type")
	form := websocket.MessageBinary
	switch media, _, _ := strings.Cut(kind, ";"); media {
	case "text/plain", "application/json":
		form = websocket.MessageText
	case "application/octet-stream":
	default:
		http.Error(w, "The content type is not supported.", http.StatusUnsupportedMediaType)
		return
	}
	message, ok := body(w, r)
	if !ok {
		return
	}
	p.hubs.send(r.Context(), picked(r), form, message)
	w.WriteHeader(http.StatusAccepted)
}

// pubSubToken makes a token that a client connects with.
func pubSubToken(p *plane, w http.ResponseWriter, r *http.Request, _ caller) {
	life := time.Hour
	if text := r.URL.Query().Get("minutesToExpire"); text != "" {
		minutes, err := strconv.Atoi(text)
		if err != nil || minutes < 1 {
			http.Error(w, "The value of minutesToExpire is at least 1.", http.StatusBadRequest)
			return
		}
		life = time.Duration(minutes) * time.Minute
	}
	token, err := p.sign("https://"+r.Host+"/client/hubs/"+r.PathValue("hub"), r.URL.Query().Get("userId"), life,
		map[string]any{"role": r.URL.Query()["role"], "webpubsub.group": r.URL.Query()["group"]})
	if err != nil {
		http.Error(w, "The token cannot be made.", http.StatusInternalServerError)
		return
	}
	writeJSON(w, map[string]any{"token": token})
}

// pubSubClient keeps a client's connection until either side ends it.
func pubSubClient(p *plane, w http.ResponseWriter, r *http.Request, who caller) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true}) // any origin: the token tells who it is
	if err != nil {
		return // answered
	}
	defer conn.CloseNow()
	c := p.hubs.add(r.PathValue("hub"), who.user, conn)
	defer p.hubs.remove(c)
	groups, _ := who.claims["webpubsub.group"].([]any)
	for _, g := range groups {
		if name, ok := g.(string); ok {
			p.hubs.join(audience{hub: c.hub, connection: c.id}, name, true)
		}
	}
	<-conn.CloseRead(r.Context()).Done()
}
