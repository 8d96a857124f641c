package httpapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// openSocket is a connector that says hello to every IM that connects.
func openSocket(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-Self-ID") == "another" {
		http.Error(w, "not ours", http.StatusForbidden)
		return
	}
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = c.CloseNow() }()
	_ = c.Write(r.Context(), websocket.MessageText, []byte("hello"))
	_ = c.Close(websocket.StatusNormalClosure, "")
}

// An IM that connects by itself reaches the account's connector once its token was checked, in the header or the query.
func TestSocket(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for _, tt := range []struct {
		name, path, token string
		status            int
	}{
		{"Bearer", "/im/socket/inbound", imToken, 101},
		{"token in the query", "/im/socket/inbound?token=" + imToken, "", 101},
		{"OneBot's name of it", "/im/socket/inbound?access_token=" + imToken, "", 101},
		{"no token", "/im/socket/inbound", "", 401},
		{"wrong token", "/im/socket/inbound?access_token=guess", "", 401},
		{"only signatures are asked for", "/im/signedsocket/inbound", "", 401},
		{"an account without", "/im/open/inbound", "", 405},
		{"no account", "/im/nobody/inbound", "", 404},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := &websocket.DialOptions{HTTPHeader: http.Header{}}
			if tt.token != "" {
				o.HTTPHeader.Set("Authorization", "Bearer "+tt.token)
			}
			c, resp, err := websocket.Dial(t.Context(), strings.Replace(r.url, "http", "ws", 1)+tt.path, o) //nolint:bodyclose // the library closes it
			if resp == nil || resp.StatusCode != tt.status {
				t.Fatalf("got %v (%v), want status %d", resp, err, tt.status)
			}
			if err != nil {
				return
			}
			defer func() { _ = c.CloseNow() }()
			if _, got, err := c.Read(t.Context()); err != nil || string(got) != "hello" {
				t.Errorf("got %q and %v, want hello", got, err)
			}
		})
	}
}

// A request that asks for no WebSocket is none, and a relay that stops opens none.
func TestNoSocket(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	get := ask{method: http.MethodGet, path: "/im/socket/inbound", header: map[string]string{"Authorization": "Bearer " + imToken}}
	r.do(get).want(t, 400, "invalid_request")
	get.header["Upgrade"], get.header["Connection"] = "websocket", "Upgrade"
	r.do(get).want(t, 400, "invalid_request")
	get.header["X-Self-ID"] = "another"
	r.do(get).want(t, 403, "forbidden")
	delete(get.header, "X-Self-ID")
	r.server.Stopping()
	r.do(get).want(t, 503, "shutting_down")
}
