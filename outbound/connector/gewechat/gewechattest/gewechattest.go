// Package gewechattest is a gewechat server for tests, with one account on it: it answers everything with HTTP status
// 200, gives 64-bit ids that no float64 can hold, and takes it ill when somebody sends too fast. It speaks to no WeChat
// and fetches no media. It goes by [time.Now], so that in a synctest bubble it is called as an [http.Handler], or as an
// [egress.Doer]; behind a socket it is an ordinary server.
package gewechattest

import (
	"net/http"
	"sync"
	"testing"

	"github.com/imrelay/imrelay/outbound/connector/ipad/ipadtest"
)

// Base is the API's path. GeWe's own server has it under /gewe.
const Base = "/v2/api"

// Options are one server.
type Options struct {
	ipadtest.Options

	// Token is what X-GEWE-TOKEN has to be, AppID the device, Wxid the account's own id.
	Token, AppID, Wxid string
	// Pusher posts the pushes; nil: a client with the server's patience.
	Pusher *http.Client
}

// Fake is one server.
type Fake struct {
	*ipadtest.Server

	o Options

	mu       sync.Mutex
	pushed   int64
	callback string
}

// New makes a server that listens nowhere.
func New(o Options) *Fake {
	if o.Pusher == nil {
		o.Pusher = &http.Client{Timeout: patience}
	}
	f := &Fake{o: o}
	f.Server = ipadtest.Serve(o.Options, f)
	return f
}

// Start lets it listen on a port of its own until the test ends, and returns the API's base.
func (f *Fake) Start(tb testing.TB) string {
	tb.Helper()
	return f.Server.Start(tb) + Base
}
