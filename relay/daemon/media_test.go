package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/relay/config"
	"github.com/imrelay/imrelay/relay/egress"
)

// Where media come from is chosen by strangers: nothing private is called for them but what is configured, and a reload
// does not change that.
func TestMediaAllow(t *testing.T) {
	t.Parallel()
	const picture = "\x89PNG\r\n\x1a\n"
	host := newFake(t, says(http.StatusOK, picture))
	for _, tt := range []struct {
		name, key string
		want      bool
	}{
		{"as it comes", "", false},
		{"allowed", "outbound: {media_allow: [127.0.0.0/8]}\n", true},
		{"another network", "outbound: {media_allow: [10.0.0.0/8]}\n", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			with := strings.Replace(baseConfig, "admin:", tt.key+"admin:", 1)
			r := start(t, with)
			w := r.d.Wire("wechat")
			ctx, sent := context.WithCancel(t.Context())
			defer sent()
			got, e := connector.Fetch(ctx, w.Fetcher(), host.URL+"/a.png", connector.LongestMedium)
			if (e == nil) != tt.want || (string(got) == picture) != tt.want {
				t.Errorf("got %q, %v; want it fetched: %v", got, e, tt.want)
			}
			if _, bounded := w.Media.(*connector.Bounded); !bounded {
				t.Errorf("got %T, want media to be bounded", w.Media)
			}
			if _, err := w.Doer.Do(ctx, egress.Call{Method: http.MethodGet, URL: host.URL}); err != nil {
				t.Errorf("calls to what is configured: got %v, want an answer", err)
			}
			change := strings.Replace(baseConfig, "admin:", "outbound: {media_allow: [192.168.0.0/16]}\nadmin:", 1)
			err := r.d.Reload(parse(t, fmt.Sprintf(change, r.agent.URL, r.im.URL, r.data)))
			if ce, ok := errors.AsType[*config.Error](err); !ok || ce.Mistakes[0].Key != "outbound.media_allow" {
				t.Errorf("a reload with another: got %v, want a refusal", err)
			}
		})
	}
}
