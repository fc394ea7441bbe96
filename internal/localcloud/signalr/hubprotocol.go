package signalr

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/coder/websocket"
)

// signalRVersions are versions of SignalR's data plane.
var signalRVersions = []string{"2022-06-01", "2022-11-01", "2023-07-01"}

// recordSeparator ends each message of the JSON hub protocol.
const recordSeparator = 0x1e

// signalRRoutes are the requests of a SignalR service, of both generations of paths.
func signalRRoutes(*plane) []route {
	health := func(*plane, http.ResponseWriter, *http.Request, caller) {}
	routes := []route{
		{"GET /api/v1/health", "", "", health},
		{"GET /api/health", "", "", health},
		{"POST /api/v1/hubs/{hub}", rest, "hub/send/action", invoke},
		{"POST /api/v1/hubs/{hub}/groups/{group}", rest, "group/send/action", invoke},
		{"POST /api/v1/hubs/{hub}/users/{user}", rest, "user/send/action", invoke},
		{"POST /api/v1/hubs/{hub}/connections/{connection}", rest, "clientConnection/send/action", invoke},
		{"POST /api/hubs/{hub}/{verb}", rest, "", signalRHub},
		{"POST /client/negotiate", socket, clientConnection, negotiate},
		{"GET /client/{$}", socket, clientConnection, hubClient},
	}
	for _, base := range []string{"/api/v1/hubs/{hub}", "/api/hubs/{hub}"} {
		routes = append(routes,
			route{"GET " + base + "/users/{user}", rest, "user/read", present},
			route{"GET " + base + "/groups/{group}", rest, "group/read", present},
			route{"GET " + base + "/connections/{connection}", rest, "clientConnection/read", present},
			route{"PUT " + base + "/groups/{into}/connections/{connection}", rest, "group/write", joined},
			route{"DELETE " + base + "/groups/{into}/connections/{connection}", rest, "group/write", joined})
	}
	return routes
}

// signalRHub tells the verbs of a hub apart: each needs a right of its own.
func signalRHub(p *plane, w http.ResponseWriter, r *http.Request, _ caller) {
	verbs := map[string]route{
		":send":          {network: rest, action: "hub/send/action", answer: invoke},
		":generateToken": {network: rest, action: "auth/clientToken/action", answer: clientToken},
	}
	rt, ok := verbs[r.PathValue("verb")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	if versioned(w, r, signalRVersions...) {
		p.serve(w, r, rt)
	}
}

// clientToken makes a token that a client of the hub connects with.
func clientToken(p *plane, w http.ResponseWriter, r *http.Request, _ caller) {
	token, err := p.sign("https://"+r.Host+"/client/?hub="+r.PathValue("hub"), r.URL.Query().Get("userId"), time.Hour, nil)
	if err != nil {
		http.Error(w, "The token cannot be made.", http.StatusInternalServerError)
		return
	}
	writeJSON(w, map[string]any{"token": token})
}

// invocation is a message that calls a method of clients.
type invocation struct {
	Type      int               `json:"type"`
	Target    string            `json:"target"`
	Arguments []json.RawMessage `json:"arguments"`
}

// invoke calls a method of an audience's clients.
func invoke(p *plane, w http.ResponseWriter, r *http.Request, _ caller) {
	raw, ok := body(w, r)
	if !ok {
		return
	}
	call := invocation{}
	if err := json.Unmarshal(raw, &call); err != nil || call.Target == "" {
		http.Error(w, "The message needs a target and arguments.", http.StatusBadRequest)
		return
	}
	call.Type = 1
	if call.Arguments == nil {
		call.Arguments = []json.RawMessage{}
	}
	message, err := json.Marshal(call)
	if err != nil {
		http.Error(w, "The message cannot be sent.", http.StatusBadRequest)
		return
	}
	p.hubs.send(r.Context(), picked(r), websocket.MessageText, append(message, recordSeparator))
	w.WriteHeader(http.StatusAccepted)
}

// negotiate tells a client which transports there are.
func negotiate(_ *plane, w http.ResponseWriter, _ *http.Request, _ caller) {
	writeJSON(w, map[string]any{"negotiateVersion": 0, "availableTransports": []any{
		map[string]any{"transport": "WebSockets", "transferFormats": []string{"Text"}}}})
}

// hubClient shakes hands with a client and keeps its connection until either side ends it.
func hubClient(p *plane, w http.ResponseWriter, r *http.Request, who caller) {
	hub := r.URL.Query().Get("hub")
	if hub == "" {
		http.Error(w, "The hub is missing.", http.StatusBadRequest)
		return
	}
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true}) // any origin: the token tells who it is
	if err != nil {
		return // answered
	}
	defer conn.CloseNow()
	if err := shake(r.Context(), conn); err != nil {
		return
	}
	c := p.hubs.add(hub, who.user, conn)
	defer p.hubs.remove(c)
	for {
		if _, _, err := conn.Read(r.Context()); err != nil { // pings and calls without a server are let go by
			return
		}
	}
}

// shake answers the first message, which names the protocol.
func shake(ctx context.Context, conn *websocket.Conn) error {
	_, raw, err := conn.Read(ctx)
	if err != nil {
		return err
	}
	var first struct {
		Protocol string `json:"protocol"`
		Version  int    `json:"version"`
	}
	said, _, ended := bytes.Cut(raw, []byte{recordSeparator})
	answer := []byte(`{}`)
	if err := json.Unmarshal(said, &first); err != nil || !ended || first.Protocol != "json" || first.Version != 1 {
		answer, err = []byte(`{"error":"The protocol is not supported."}`), errors.New("shake hands: unknown protocol")
		return errors.Join(err, conn.Write(ctx, websocket.MessageText, append(answer, recordSeparator)))
	}
	return conn.Write(ctx, websocket.MessageText, append(answer, recordSeparator))
}
