package daemon_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// An account that the IM's server says is logged out stands still, before any send of it fails: callers are told, what is
// queued waits, and operators see it. When it is logged in again all goes on.
func TestAccountIsLoggedOut(t *testing.T) {
	t.Parallel()
	im, ok := newOneBot(`send: {kind: onebot, url: "http://HOST", token: im-send-token}`, postEvent)(t).(oneBot)
	if !ok {
		t.Fatal("no OneBot")
	}
	r := start(t, strings.NewReplacer("ACCOUNT", im.Account(), "AGENT", "http://127.0.0.1:1/v1").Replace(roundTrip))
	postEvent(t, im.Fake, r.url, fmt.Sprintf(`{"time":%d,`, time.Now().Unix())+
		`"self_id":2810012345,"post_type":"notice","notice_type":"bot_offline","user_id":2810012345,"tag":"KickedOffLine","message":"logged in elsewhere"}`)
	const to = `{"to":"private:1686812345","text":"%s"}`
	a := r.send(fmt.Sprintf(to, "now"))
	if a.status != 503 || a.code(t) != "upstream_unavailable" || a.header.Get("Retry-After") == "" {
		t.Errorf("send: got %d %s, want 503 upstream_unavailable with Retry-After", a.status, a.body)
	}
	if a := r.send(fmt.Sprintf(to, "later"), "Prefer: respond-async"); a.status != http.StatusAccepted {
		t.Fatalf("queued: got %d %s", a.status, a.body)
	}
	r.wantAlarm(true)
	if got := im.Got(); len(got) != 0 {
		t.Errorf("got %v sent while the account is logged out", got)
	}
	postEvent(t, im.Fake, r.url, fmt.Sprintf(`{"time":%d,`, time.Now().Unix())+
		`"self_id":2810012345,"post_type":"meta_event","meta_event_type":"heartbeat","interval":30000,"status":{"online":true,"good":true}}`)
	eventually(t, "what was queued is sent", func() bool { return len(im.Got()) == 1 })
	if got := im.Got()[0].text; got != "later" {
		t.Errorf("sent: got %q, want what was queued", got)
	}
	r.wantAlarm(false)
	if n := strings.Count(r.logs.String(), `"im.alarm"`); n != 1 {
		t.Errorf("got %d lines of the alarm, want one", n)
	}
	noSecrets(t, "the log", r.logs.String())
}

// wantAlarm wants the alarm shown everywhere, or nowhere.
func (r *rig) wantAlarm(raised bool) {
	r.t.Helper()
	var accounts struct {
		Accounts []struct {
			State  string            `json:"state"`
			Alarms map[string]string `json:"alarms"`
		} `json:"accounts"`
	}
	if err := json.Unmarshal([]byte(r.admin(http.MethodGet, "accounts", "").body), &accounts); err != nil {
		r.t.Fatal(err)
	}
	if got := accounts.Accounts[0].Alarms["offline"] != ""; got != raised {
		r.t.Errorf("admin API: got alarms %v, want offline among them: %t", accounts.Accounts[0].Alarms, raised)
	}
	for what, a := range map[string]answer{
		`imrelay_im_alarm{alarm="offline",im="chat"} 1`: r.do(http.MethodGet, "/metrics", ""),
		`im chat`: r.do(http.MethodGet, "/readyz", ""),
	} {
		if strings.Contains(a.body, what) != raised {
			r.t.Errorf("got %q in the answer: %t, want %t", what, !raised, raised)
		}
	}
}
