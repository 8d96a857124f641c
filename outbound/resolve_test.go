package outbound_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/imrelay/imrelay/outbound"
)

// TestAccountAndRecipient: which account sends, and who may.
func TestAccountAndRecipient(t *testing.T) {
	t.Parallel()
	client := func(accounts, recipients []string) outbound.Client {
		return outbound.Client{Name: "openclaw", Accounts: accounts, Recipients: recipients}
	}
	tests := []struct {
		name   string
		client outbound.Client
		im, to string
		want   string
		code   outbound.Code
	}{
		{"the account that was asked for", client(nil, nil), "onebot", "x", "onebot", ""},
		{"the only one the client may use", client([]string{"wechat"}, nil), "", "x", "wechat", ""},
		{"the one on which the recipient was seen", client(nil, nil), "", "seen_on_onebot", "onebot", ""},
		{"seen on one of those the client may use", client([]string{"mute", "wechat"}, nil), "", "seen_on_two", "wechat", ""},
		{"seen on two", client(nil, nil), "", "seen_on_two", "", outbound.CodeAmbiguous},
		{"never seen", client(nil, nil), "", "stranger", "", outbound.CodeAmbiguous},
		{"seen where the client may not send", client([]string{"mute", "wechat"}, nil), "", "seen_on_onebot", "", outbound.CodeAmbiguous},
		{"unknown account", client(nil, nil), "signal", "x", "", outbound.CodeUnknownIM},
		{"account not allowed", client([]string{"wechat"}, nil), "onebot", "x", "", outbound.CodeForbidden},
		{"account without send", client(nil, nil), "mute", "x", "", outbound.CodeCannotSend},
		{"recipient allowed", client(nil, []string{"wxid_alice"}), "wechat", "wxid_alice", "wechat", ""},
		{"recipient not allowed", client(nil, []string{"wxid_alice"}), "wechat", "wxid_alice2", "", outbound.CodeForbidden},
		{"recipient by its end", client(nil, []string{"*@chatroom"}), "wechat", "48213570966@chatroom", "wechat", ""},
		{"recipient by its beginning", client(nil, []string{"gh_*", "wxid_*"}), "wechat", "wxid_bob", "wechat", ""},
		{"recipient by its middle", client(nil, []string{"a*b*c"}), "wechat", "aXbXbc", "wechat", ""},
		{"recipient too short for its pattern", client(nil, []string{"ab*b"}), "wechat", "ab", "", outbound.CodeForbidden},
		{"question marks stand for themselves", client(nil, []string{"wxid_?"}), "wechat", "wxid_a", "", outbound.CodeForbidden},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				im := &fakeIM{}
				r := newRig(t, im, withAccounts(outbound.Table{
					"wechat": {Connector: im}, "onebot": {Connector: im}, "mute": {},
				}), func(o *outbound.Options) {
					o.Known = func(_ context.Context, to string) ([]string, error) {
						return map[string][]string{
							"seen_on_onebot": {"onebot"}, "seen_on_two": {"onebot", "wechat", "gone"},
						}[to], nil
					}
				})
				req := request("hello")
				req.Client, req.Account, req.To = tt.client, tt.im, tt.to
				if tt.code != "" {
					r.refused(req, tt.code)
					r.wantCalls(0)
					return
				}
				r.mustSend(req)
				if got := im.sent()[0].Account; got != tt.want {
					t.Errorf("account: got %q, want %q", got, tt.want)
				}
			})
		})
	}
}

func TestOneAccountNeedsNoName(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &fakeIM{})
		res := r.mustSend(request("hello"))
		if len(res.MessageIDs) != 1 || res.MessageIDs[0] != "90071992547409930" || res.Replayed {
			t.Errorf("got %+v, want the IM's id", res)
		}
	})
}

func TestUnreadableMemoryOfConversations(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{}
		r := newRig(t, im, withAccounts(outbound.Table{"a": {Connector: im}, "b": {Connector: im}}), func(o *outbound.Options) {
			o.Known = func(context.Context, string) ([]string, error) { return nil, errors.New("disk full") }
		})
		r.refused(request("hello"), outbound.CodeStoreUnavailable)
	})
}

func TestReloadTakesOverAccountsAndLimits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{}
		r := newRig(t, im, withAccounts(outbound.Table{"wechat": {}}))
		r.refused(request("hello"), outbound.CodeCannotSend)
		r.Reload(outbound.Table{"wechat": {Connector: im, Limits: outbound.Limits{MaxText: 5}}})
		r.mustSend(request("hello world"))
		wantTexts(t, im.texts(), "hello", "world")
	})
}
