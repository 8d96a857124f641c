package httpapi_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/httpapi"
	"github.com/imrelay/imrelay/relay/queue"
)

// page is what a listing answers.
type page struct {
	Events []struct {
		ID           string `json:"id"`
		State        string `json:"state"`
		Agent        string `json:"agent"`
		IM           string `json:"im"`
		Conversation string `json:"conversation"`
		MessageID    string `json:"messageId"`
		Sender       string `json:"sender"`
		Accepted     string `json:"accepted"`
		LastError    string `json:"lastError"`
	} `json:"events"`
	Next string `json:"next"`
}

// list asks for a listing and returns its ids.
func (r *rig) list(path string) (ids []string, p page) {
	r.t.Helper()
	got := r.admin(http.MethodGet, path, "")
	if got.status != http.StatusOK {
		r.t.Fatalf("GET %s: got %d %s", path, got.status, got.body)
	}
	if err := json.Unmarshal(got.body, &p); err != nil {
		r.t.Fatal(err)
	}
	ids = []string{}
	for _, e := range p.Events {
		ids = append(ids, e.ID)
	}
	return ids, p
}

// TestAdminEvents lists by every filter.
func TestAdminEvents(t *testing.T) {
	t.Parallel()
	q := newStore(t)
	bury(t, q, "evt_dead1", "evt_dead2")
	put(t, q, "evt_parked")
	settle(t, q, queue.Verdict{Action: queue.Park, Counted: true, Delay: time.Hour, Reason: "status 500"})
	put(t, q, "evt_done")
	settle(t, q, queue.Verdict{Action: queue.Ack, Counted: true, Status: 200})
	put(t, q, "evt_busy")
	take(t, q)
	put(t, q, "evt_queued")
	r := newRig(t, withStore(q))
	all := []string{"evt_queued", "evt_busy", "evt_done", "evt_parked", "evt_dead2", "evt_dead1"}
	for _, tt := range []struct {
		query string
		want  []string
	}{
		{"", all},
		{"?state=queued", all[:1]},
		{"?state=delivering", all[1:2]},
		{"?state=delivered", all[2:3]},
		{"?state=parked", all[3:4]},
		{"?state=dead", all[4:]},
		{"?state=dead&state=parked", all[3:]},
		{"?agent=openclaw", all},
		{"?agent=other", nil},
		{"?im=wechat&conversation=room-evt_done", all[2:3]},
		{"?im=other", nil},
		{"?since=1h", all},
		{"?since=2200-01-02T15:04:05Z", nil},
		{"?limit=2", all[:2]},
	} {
		if got, _ := r.list("/api/admin/events" + tt.query); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.query, got, tt.want)
		}
	}
	var paged []string
	for next := ""; ; {
		ids, p := r.list("/api/admin/events?limit=4" + next)
		paged = append(paged, ids...)
		if p.Next == "" {
			break
		}
		next = "&before=" + p.Next
	}
	if !slices.Equal(paged, all) {
		t.Errorf("in pages: got %v, want %v", paged, all)
	}
	got, p := r.list("/api/admin/dead")
	if !slices.Equal(got, all[4:]) {
		t.Errorf("dead: got %v, want %v", got, all[4:])
	}
	if e := p.Events[0]; e.State != "dead" || e.Agent != "openclaw" || e.IM != "wechat" || e.MessageID != "7265419038812345671" ||
		e.Sender != "wxid_alice" || e.LastError != "status 400" {
		t.Errorf("got event %+v", e)
	}
}

// TestAdminQueries refuses what it cannot read, and names the field.
func TestAdminQueries(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for _, tt := range []struct{ method, path, body, field string }{
		{"GET", "/api/admin/events?state=gone", "", "state"},
		{"GET", "/api/admin/events?state=delivering&state=dead", "", "state"},
		{"GET", "/api/admin/events?limit=0", "", "limit"},
		{"GET", "/api/admin/events?limit=1001", "", "limit"},
		{"GET", "/api/admin/events?limit=x", "", "limit"},
		{"GET", "/api/admin/dead?before=-1", "", "before"},
		{"GET", "/api/admin/dead?since=yesterday", "", "since"},
		{"GET", "/api/admin/dead?since=-1h", "", "since"},
		{"POST", "/api/admin/dead/replay", "", "body"},
		{"POST", "/api/admin/dead/replay", "[]", "body"},
		{"POST", "/api/admin/dead/replay", `{"all":true} x`, "body"},
		{"POST", "/api/admin/dead/replay", `{"all":true,"agnet":"x"}`, "body"},
		{"POST", "/api/admin/dead/replay", `{"all":"yes"}`, "all"},
		{"POST", "/api/admin/dead/replay", `{}`, "ids"},
		{"POST", "/api/admin/dead/replay", `{"agent":"openclaw"}`, "ids"},
		{"POST", "/api/admin/dead/replay", `{"ids":["a"],"all":true}`, "ids"},
		{"POST", "/api/admin/dead/replay", `{"ids":["a"],"im":"wechat"}`, "ids"},
		{"POST", "/api/admin/dead/replay", `{"all":true,"rate":"fast"}`, "rate"},
		{"POST", "/api/admin/dead/replay", `{"all":true,"rate":"0/s"}`, "rate"},
		{"POST", "/api/admin/dead/replay", `{"all":true,"rate":"1/-1s"}`, "rate"},
		{"POST", "/api/admin/dead/replay", `{"all":true,"since":"x"}`, "since"},
		{"POST", "/api/admin/dead/drop", `{"rate":"1/s"}`, "body"},
		{"POST", "/api/admin/pause", `{}`, "agent"},
		{"POST", "/api/admin/pause", `{"agent":"a","im":"b","conversation":"c"}`, "agent"},
		{"POST", "/api/admin/pause", `{"im":"b"}`, "agent"},
		{"POST", "/api/admin/pause", `{"agent":"a","for":"long"}`, "for"},
		{"POST", "/api/admin/pause", `{"agent":"a","for":"0s"}`, "for"},
		{"POST", "/api/admin/pause", `{"agent":"a","reason":"` + strings.Repeat("x", 257) + `"}`, "reason"},
		{"POST", "/api/admin/resume", `{"conversation":"c"}`, "agent"},
	} {
		got := r.admin(tt.method, tt.path, tt.body)
		got.want(t, http.StatusBadRequest, "invalid_request")
		if !strings.HasPrefix(got.message(), tt.field+" ") {
			t.Errorf("%s %s: got message %q, want it to begin with %q", tt.path, tt.body, got.message(), tt.field)
		}
	}
	r.admin("POST", "/api/admin/dead/drop", `{"ids":["`+strings.Repeat("x", 1<<20)+`"]}`).want(t, 413, "body_too_large")
}

// TestAdminEvent shows one event with its bytes as they are.
func TestAdminEvent(t *testing.T) {
	t.Parallel()
	q := newStore(t)
	lane := queue.Lane{Agent: "openclaw", Account: "wechat", Conversation: "a"}
	for id, body := range map[string]string{"evt_text": `{"n":7265419038812345671}`, "evt_raw": "\xff\x00"} {
		if _, err := q.Put(t.Context(), queue.Job{ID: id, Lane: lane, Body: []byte(body)}); err != nil {
			t.Fatal(err)
		}
	}
	r := newRig(t, withStore(q))
	var got struct {
		Body string  `json:"body"`
		Text *string `json:"text"`
		Size int     `json:"size"`
	}
	text := r.admin(http.MethodGet, "/api/admin/events/evt_text", "")
	if err := json.Unmarshal(text.body, &got); err != nil {
		t.Fatal(err)
	}
	if raw, _ := base64.StdEncoding.DecodeString(got.Body); string(raw) != `{"n":7265419038812345671}` || got.Text == nil || *got.Text != string(raw) || got.Size != len(raw) {
		t.Errorf("got %s", text.body)
	}
	raw := r.admin(http.MethodGet, "/api/admin/events/evt_raw", "")
	got.Text = nil
	if err := json.Unmarshal(raw.body, &got); err != nil {
		t.Fatal(err)
	}
	if got.Body != "/wA=" || got.Text != nil || got.Size != 2 {
		t.Errorf("got %s", raw.body)
	}
	r.admin(http.MethodGet, "/api/admin/events/evt_none", "").want(t, http.StatusNotFound, "not_found")
}

// TestAdminReplayAndDrop moves what is named, or all that a filter lets through, the oldest first.
func TestAdminReplayAndDrop(t *testing.T) {
	t.Parallel()
	q := newStore(t)
	bury(t, q, "evt_1", "evt_2", "evt_3", "evt_4", "evt_5")
	r := newRig(t, withStore(q))
	replay := "/api/admin/dead/replay"
	r.admin("POST", replay, `{"ids":["evt_1","evt_none"]}`).wantJSON(t, 200, `{"replayed":1}`)
	r.admin("POST", replay, `{"ids":["evt_1"]}`).wantJSON(t, 200, `{"replayed":0}`)
	r.admin("POST", replay, `{"all":true,"conversation":"room-evt_5"}`).wantJSON(t, 200, `{"replayed":1}`)
	r.admin("POST", replay, `{"all":true,"agent":"other"}`).wantJSON(t, 200, `{"replayed":0}`)
	r.admin("POST", "/api/admin/dead/drop", `{"ids":["evt_2"]}`).wantJSON(t, 200, `{"dropped":1}`)
	r.admin("POST", replay, `{"all":true,"rate":"2/h"}`).wantJSON(t, 200, `{"replayed":2}`)
	third, err := q.Get(t.Context(), "evt_3")
	if err != nil {
		t.Fatal(err)
	}
	fourth, err := q.Get(t.Context(), "evt_4")
	if err != nil {
		t.Fatal(err)
	}
	if gap := fourth.Due.Sub(third.Due); gap < 29*time.Minute || gap > 31*time.Minute {
		t.Errorf("got the next due %v after the one before, want 30m", gap)
	}
	bury(t, q, "evt_6", "evt_7")
	r.admin("POST", "/api/admin/dead/drop", `{"all":true}`).want(t, 200, "")
	if ids, _ := r.list("/api/admin/dead"); len(ids) != 0 {
		t.Errorf("got dead letters %v, want none", ids)
	}
	if n := r.logs.FilterField(fieldEvent("admin.dropped")).Len(); n != 2 {
		t.Errorf("got %d lines admin.dropped, want 2", n)
	}
}

// TestAdminPauses pauses and resumes agents and conversations, and shows what is in force.
func TestAdminPauses(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.admin("GET", "/api/admin/pauses", "").wantJSON(t, 200, `{"pauses":[]}`)
	r.admin("POST", "/api/admin/pause", `{"agent":"openclaw","reason":"repairs"}`).
		wantJSON(t, 200, `{"pauses":[{"agent":"openclaw","reason":"repairs"}]}`)
	got := r.admin("POST", "/api/admin/pause", `{"im":"wechat","conversation":"room","for":"10m"}`)
	if !strings.Contains(string(got.body), `"until":"2`) {
		t.Errorf("got %s, want a pause with an end", got.body)
	}
	r.admin("POST", "/api/admin/resume", `{"im":"wechat","conversation":"room"}`).
		wantJSON(t, 200, `{"pauses":[{"agent":"openclaw","reason":"repairs"}]}`)
	r.admin("POST", "/api/admin/resume", `{"agent":"openclaw"}`).wantJSON(t, 200, `{"pauses":[]}`)
	r.admin("POST", "/api/admin/resume", `{"agent":"openclaw"}`).wantJSON(t, 200, `{"pauses":[]}`)
}

// TestAdminOverview joins what the daemon knows and what the store counts.
func TestAdminOverview(t *testing.T) {
	t.Parallel()
	q := newStore(t)
	bury(t, q, "evt_1")
	r := newRig(t, withStore(q))
	at := httpapi.Time{Time: time.Date(2026, 1, 2, 3, 4, 5, 6_700_000, time.FixedZone("", 3600))}
	r.overview.agents = []httpapi.AgentState{{Name: "fresh", Kind: "webhook", Circuit: "closed", LastSuccess: at}}
	r.overview.accounts = []httpapi.AccountState{{Name: "wechat", Format: "wechat", State: httpapi.StateOK, LastReceived: at}}
	if err := q.Pause(t.Context(), queue.Scope{Agent: "openclaw"}, 0, ""); err != nil {
		t.Fatal(err)
	}
	r.admin("GET", "/api/admin/agents", "").wantJSON(t, 200, `{"agents":[
		{"name":"fresh","kind":"webhook","circuit":"closed","lastSuccess":"2026-01-02T02:04:05.006Z","paused":false,
		 "counts":{"queued":0,"delivering":0,"parked":0,"delivered":0,"dead":0,"conversations":0}},
		{"name":"openclaw","paused":true,
		 "counts":{"queued":0,"delivering":0,"parked":0,"delivered":0,"dead":1,"conversations":0}}]}`)
	r.admin("GET", "/api/admin/accounts", "").wantJSON(t, 200,
		`{"accounts":[{"name":"wechat","format":"wechat","state":"ok","lastReceived":"2026-01-02T02:04:05.006Z"}]}`)
	r.overview.err = errors.New("secret")
	r.admin("GET", "/api/admin/agents", "").want(t, 500, "internal")
	r.admin("GET", "/api/admin/accounts", "").want(t, 500, "internal")
}

// TestAdminStoreAway is a 503, whatever is asked.
func TestAdminStoreAway(t *testing.T) {
	t.Parallel()
	q := newStore(t)
	r := newRig(t, withStore(q))
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ method, path, body string }{
		{"GET", "/api/admin/events", ""},
		{"GET", "/api/admin/events/evt_1", ""},
		{"GET", "/api/admin/dead", ""},
		{"GET", "/api/admin/agents", ""},
		{"GET", "/api/admin/pauses", ""},
		{"POST", "/api/admin/dead/replay", `{"all":true}`},
		{"POST", "/api/admin/dead/replay", `{"ids":["a"]}`},
		{"POST", "/api/admin/dead/drop", `{"ids":["a"]}`},
		{"POST", "/api/admin/pause", `{"agent":"a"}`},
		{"POST", "/api/admin/resume", `{"agent":"a"}`},
	} {
		got := r.admin(tt.method, tt.path, tt.body)
		if got.want(t, 503, "store_unavailable"); got.header.Get("Retry-After") != "1" {
			t.Errorf("%s: got Retry-After %q, want 1", tt.path, got.header.Get("Retry-After"))
		}
	}
}

// adminPaths are all paths behind the admin token.
func adminPaths(t *testing.T) map[string]string {
	t.Helper()
	paths := map[string]string{}
	for path, item := range document(t).Paths.Map() {
		if strings.HasPrefix(path, "/api/admin/") {
			for method := range item.Operations() {
				paths[strings.ReplaceAll(path, "{id}", "evt_1")] = method
			}
		}
	}
	if len(paths) < 11 {
		t.Fatalf("got %d admin paths described, want 11", len(paths))
	}
	return paths
}

// TestAdminToken guards every admin path, and slows down who guesses.
func TestAdminToken(t *testing.T) {
	t.Parallel()
	for path, method := range adminPaths(t) {
		r := newRig(t, nil)
		r.do(ask{method: method, path: path}).want(t, 401, "unauthorized")
		wrong := ask{method: method, path: path, header: map[string]string{"Authorization": "Bearer " + clientToken}}
		for range 10 {
			r.do(wrong).want(t, 401, "unauthorized")
		}
		got := r.do(wrong)
		got.want(t, 429, "rate_limited")
		if after := got.header.Get("Retry-After"); after == "" || after == "0" || len(after) > 2 {
			t.Errorf("got Retry-After %q, want up to 60", after)
		}
		noSecrets(t, r)
	}
}

// TestAdminGuesses counts for each address by itself, and lets the right token in to nobody who is turned away.
func TestAdminGuesses(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(o *httpapi.Options) {
		o.Table.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	})
	get := func(from, token string) reply {
		return r.do(ask{method: "GET", path: "/api/admin/pauses", header: map[string]string{
			"Authorization": "Bearer " + token, "X-Forwarded-For": from,
		}})
	}
	for range 9 {
		get("192.0.2.1", "x").want(t, 401, "unauthorized")
	}
	get("192.0.2.1", adminToken).want(t, 200, "")
	get("192.0.2.1", "x").want(t, 401, "unauthorized")
	get("192.0.2.1", adminToken).want(t, 429, "rate_limited")
	get("192.0.2.2", adminToken).want(t, 200, "")
	// One host owns a whole /64.
	for i := range 10 {
		get(fmt.Sprintf("2001:db8::%x", i+1), "x").want(t, 401, "unauthorized")
	}
	get("2001:db8::ffff", adminToken).want(t, 429, "rate_limited")
	get("2001:db8:0:1::1", adminToken).want(t, 200, "")
}

// TestCheckAdmin is what others that take the token use, and remembers a bounded number of guessers.
func TestCheckAdmin(t *testing.T) {
	t.Parallel()
	server, _, _ := bare(t)
	check := func(i int, token string) httpapi.Code {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/console/login", http.NoBody)
		req.RemoteAddr = fmt.Sprintf("10.1.%d.%d:1234", i/256, i%256)
		err := server.CheckAdmin(req, token)
		if err == nil {
			return ""
		}
		e, _ := errors.AsType[*httpapi.Error](err)
		return e.Code
	}
	const known = 4096
	for i := range known {
		if got := check(i, "x"); got != httpapi.CodeUnauthorized {
			t.Fatalf("guesser %d: got %q, want unauthorized", i, got)
		}
	}
	for _, tt := range []struct {
		name  string
		from  int
		token string
		want  httpapi.Code
	}{
		{"a guesser with the right token", 7, adminToken, ""},
		{"a newcomer with the right token", known, adminToken, ""},
		{"a newcomer without one", known, "", httpapi.CodeUnauthorized},
	} {
		if got := check(tt.from, tt.token); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
	for i := range 10 {
		check(known+i, "x")
	}
	if got := check(known+11, adminToken); got != httpapi.CodeRateLimited {
		t.Errorf("a newcomer after ten wrong ones of newcomers: got %q, want rate_limited", got)
	}
	if got := check(7, adminToken); got != "" {
		t.Errorf("a guesser from before: got %q, want no error", got)
	}
}

// TestAdminLoopbackOnly takes a random token from this machine only, by what a trusted proxy says.
func TestAdminLoopbackOnly(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(o *httpapi.Options) {
		o.Table.Admin.LoopbackOnly = true
		o.Table.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	})
	for _, tt := range []struct {
		from   string
		status int
		code   string
	}{
		{"", 200, ""},
		{"127.0.0.1", 200, ""},
		{"::1", 200, ""},
		{"::ffff:127.0.0.1", 200, ""},
		{"192.0.2.1", 403, "source_not_allowed"},
		{"127.0.0.1, 192.0.2.1", 403, "source_not_allowed"},
		{"what", 403, "source_not_allowed"},
	} {
		r.do(ask{method: "GET", path: "/api/admin/pauses", header: map[string]string{
			"Authorization": "Bearer " + adminToken, "X-Forwarded-For": tt.from,
		}}).want(t, tt.status, tt.code)
	}
	none := newRig(t, func(o *httpapi.Options) { o.Table.Admin = httpapi.Admin{} })
	none.admin("GET", "/api/admin/pauses", "").want(t, 401, "unauthorized")
}

// TestAdminStream tells what happens as it happens, shows that it lives, and ends with the relay.
func TestAdminStream(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(o *httpapi.Options) { o.Heartbeat = 50 * time.Millisecond })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+"/api/admin/stream", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+adminToken)
	resp, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || got != "text/event-stream" {
		t.Fatalf("got %d %q, want 200 text/event-stream", resp.StatusCode, got)
	}
	r.stream.notices <- httpapi.Notice{Name: "event.delivered", Data: []byte("{\"id\":\"evt_1\",\n\"n\":1}")}
	in := bufio.NewScanner(resp.Body)
	var seen []string
	for in.Scan() && !slices.Contains(seen, ": still here") {
		seen = append(seen, in.Text())
	}
	text := strings.Join(seen, "\n")
	if want := "event: event.delivered\ndata: {\"id\":\"evt_1\",\ndata: \"n\":1}\n\n"; !strings.Contains(text, want) || !strings.HasPrefix(text, "retry: ") {
		t.Errorf("got %q, want %q in it", text, want)
	}
	r.server.Stopping()
	for in.Scan() { // to the end
	}
	if err := in.Err(); err != nil {
		t.Errorf("got %v, want a clean end", err)
	}
	r.admin("GET", "/api/admin/stream", "").want(t, 503, "shutting_down")
}

// TestAdminStreamClosed ends when nothing more will come.
func TestAdminStreamClosed(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	close(r.stream.notices)
	if got := r.admin("GET", "/api/admin/stream", ""); got.status != 200 || !strings.HasPrefix(string(got.body), "retry: ") {
		t.Errorf("got %d %q", got.status, got.body)
	}
}
