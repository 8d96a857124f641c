package outbound_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imrelay/imrelay/outbound"
)

// chat is an IM that takes pictures by themselves, nothing else, and shows no stars.
type chat struct{ *fakeIM }

func (chat) Carry(m outbound.Media) error {
	if m.Type == "image" {
		return nil
	}
	return errors.New("it takes pictures only")
}

func (chat) Render(text string) string { return strings.ReplaceAll(text, "*", "") }

var (
	_ outbound.Carrier  = chat{}
	_ outbound.Renderer = chat{}
)

func newChat(t *testing.T, im *fakeIM, max int) *rig {
	t.Helper()
	return newRig(t, im, withAccounts(outbound.Table{"wechat": {
		Connector: chat{im}, Limits: outbound.Limits{MaxText: max},
	}}))
}

// picture and voice are media as clients give them.
func picture(name string) outbound.Media {
	return outbound.Media{Type: "image", URL: "https://x.example/" + name + ".png"}
}

var voice = outbound.Media{Type: "voice", URL: "https://x.example/v.silk"}

// calls tells what each call carried, in a word.
func calls(im *fakeIM) []string {
	var out []string
	for _, m := range im.sent() {
		word := m.Text
		for _, x := range m.Media {
			word += "[" + x.URL[len("https://x.example/"):] + "]"
		}
		if m.ReplyTo != "" {
			word += "^" + m.ReplyTo
		}
		for _, x := range m.Mentions {
			word += "@" + x.ID
		}
		out = append(out, word)
	}
	return out
}

func TestMediaThatGoByThemselves(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		text  string
		media []outbound.Media
		want  []string
	}{
		{"after the text", "hello", []outbound.Media{picture("a"), picture("b")}, []string{"hello^42@wxid_bob", "[a.png]", "[b.png]"}},
		{"alone", "", []outbound.Media{picture("a"), picture("b")}, []string{"[a.png]^42@wxid_bob", "[b.png]"}},
		{"after all parts", "alpha bravo", []outbound.Media{picture("a")}, []string{"alpha^42@wxid_bob", "bravo", "[a.png]"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				im := &fakeIM{}
				r := newChat(t, im, 5)
				req := keyed("r-1", tt.text)
				req.ReplyTo, req.Media, req.Mentions = "42", tt.media, []outbound.Mention{{ID: "wxid_bob"}}
				res := r.mustSend(req)
				if got := calls(im); !slices.Equal(got, tt.want) {
					t.Errorf("calls: got %q, want %q", got, tt.want)
				}
				if len(res.MessageIDs) != len(tt.want) {
					t.Errorf("ids: got %v, want one a call", res.MessageIDs)
				}
			})
		})
	}
}

// TestGoingOnAtAMedium: a medium that failed is gone on from, and what was sent does not go again.
func TestGoingOnAtAMedium(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{answer: script(nil, nil, failing(outbound.Rejected), nil, nil)}
		r := newChat(t, im, 0)
		req := keyed("r-1", "hello")
		req.Media = []outbound.Media{picture("a"), picture("b"), picture("c")}
		e := r.refused(req, outbound.CodeUpstreamRejected)
		if e.Part != 3 || len(e.MessageIDs) != 2 {
			t.Errorf("got part %d after %v, want part 3 after two ids", e.Part, e.MessageIDs)
		}
		res := r.mustSend(req)
		if got, want := calls(im)[3:], []string{"[b.png]", "[c.png]"}; !slices.Equal(got, want) {
			t.Errorf("calls: got %q, want %q", got, want)
		}
		if len(res.MessageIDs) != 4 {
			t.Errorf("ids: got %v, want four", res.MessageIDs)
		}
	})
}

func TestQueuedMediaGoByThemselves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{}
		r := newChat(t, im, 0).running()
		req := request("*hello*")
		req.Media, req.Mentions = []outbound.Media{picture("a")}, []outbound.Mention{{ID: "wxid_bob"}}
		r.enqueue(req)
		pass(time.Minute)
		if got, want := calls(im), []string{"hello@wxid_bob", "[a.png]"}; !slices.Equal(got, want) {
			t.Errorf("calls: got %q, want %q", got, want)
		}
	})
}

func TestMediaThatTheIMDoesNotTake(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{}
		r := newChat(t, im, 0)
		req := request("hello")
		req.Media = []outbound.Media{picture("a"), voice}
		e := r.refused(req, outbound.CodeUnsupportedMedia)
		if want := "media[1]: it takes pictures only"; e.Message != want {
			t.Errorf("message: got %q, want %q", e.Message, want)
		}
		r.wantCalls(0)
		req.Adapt = true
		r.mustSend(req)
		if got, want := calls(im), []string{"hello\nhttps://x.example/v.silk", "[a.png]"}; !slices.Equal(got, want) {
			t.Errorf("adapted: got %q, want %q", got, want)
		}
	})
}

func TestTextIsRenderedBeforeItIsCut(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"markup", "**al** *pha* bravo", "al|pha|bravo"},
		{"nothing but markup", "***", "***"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				im := &fakeIM{}
				newChat(t, im, 5).mustSend(request(tt.text))
				wantTexts(t, im.texts(), strings.Split(tt.want, "|")...)
			})
		})
	}
}

// TestAnAdaptedTextIsRenderedOnce: what was cut off is as the IM shows it, and is not read as markup again.
func TestAnAdaptedTextIsRenderedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{}
		r := newRig(t, im, withAccounts(outbound.Table{"wechat": {
			Connector: swaps{im}, Limits: outbound.Limits{MaxText: 1},
		}}))
		req := request(strings.Repeat("a", 30))
		req.Adapt = true
		r.mustSend(req)
		if got, want := strings.Join(im.texts(), ""), strings.Repeat("b", 16)+"…"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// swaps shows a as b and b as c: who renders twice is found out.
type swaps struct{ *fakeIM }

func (swaps) Render(text string) string { return strings.NewReplacer("a", "b", "b", "c").Replace(text) }

// TestMentionsAreContent: the same key with others is another content.
func TestMentionsAreContent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &fakeIM{})
		req := keyed("r-1", "hello")
		r.mustSend(req)
		req.Mentions = []outbound.Mention{{ID: "wxid_bob"}}
		r.refused(req, outbound.CodeKeyReused)
	})
}

// TestWhatWasAcceptedIsSentWhole: limits that came after it do not cut its end off.
func TestWhatWasAcceptedIsSentWhole(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{}
		r := newRig(t, im, withLimits(outbound.Limits{MaxText: 2000}))
		text := strings.TrimSpace(strings.Repeat("nineteen and a word ", 100))
		id := r.enqueue(request(text)).ID
		r.Reload(outbound.Table{"wechat": {Connector: im, Limits: outbound.Limits{MaxText: 20}}})
		r.running()
		pass(time.Minute)
		r.lookup(id, outbound.StatusSent)
		if got := strings.Join(im.texts(), " "); got != text {
			t.Errorf("got %d bytes in %d parts, want all %d", len(got), len(im.texts()), len(text))
		}
	})
}

// TestAnAccountThatChangesInTheMiddle: what is left of a message goes as the account sends by then, each part of the text and
// each medium once.
func TestAnAccountThatChangesInTheMiddle(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name          string
		before, after func(im *fakeIM) outbound.Connector
		want          []string
	}{
		{
			"from media with the text to media by themselves",
			func(im *fakeIM) outbound.Connector { return im }, func(im *fakeIM) outbound.Connector { return chat{im} },
			[]string{"*one*[a.png][b.png]", "two", "three"},
		},
		{
			"from media by themselves to media with the text",
			func(im *fakeIM) outbound.Connector { return chat{im} }, func(im *fakeIM) outbound.Connector { return im },
			[]string{"one", "two[a.png][b.png]", "three"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				im := &fakeIM{answer: script(nil, failing(outbound.Rejected))}
				limits := outbound.Limits{MaxText: 5}
				r := newRig(t, im, withAccounts(outbound.Table{"wechat": {Connector: tt.before(im), Limits: limits}}))
				req := keyed("r-1", "*one* two three")
				req.Media = []outbound.Media{picture("a"), picture("b")}
				r.refused(req, outbound.CodeUpstreamRejected)
				r.Reload(outbound.Table{"wechat": {Connector: tt.after(im), Limits: limits}})
				r.mustSend(req)
				got := calls(im)
				if got = append(got[:1], got[2:]...); !slices.Equal(got, tt.want) {
					t.Errorf("calls: got %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// TestAnAgentsManyMedia: what has no room as a message is told.
func TestAnAgentsManyMedia(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{}
		r := newChat(t, im, 0)
		req := request("hello")
		for range 21 {
			req.Media = append(req.Media, picture("a"))
		}
		r.refused(req, outbound.CodeInvalid)
		req.Adapt = true
		r.mustSend(req)
		got := calls(im)
		if want := "hello\nhttps://x.example/a.png\nhttps://x.example/a.png"; len(got) != 20 || got[0] != want {
			t.Errorf("got %d calls, the first %q; want 20 and %q", len(got), got[0], want)
		}
	})
}
