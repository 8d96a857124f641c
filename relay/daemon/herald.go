package daemon

import (
	"context"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/store/redisconn"
)

// newsChannel begins the name of the channel on which a relay hears its news.
const newsChannel = "imrelay:news:"

// herald carries news between relays over Redis: each listens on a channel of its own.
type herald struct{ conn *redisconn.Conn }

var _ relay.Herald = herald{}

// Name implements relay.Herald.
func (h herald) Name() string { return h.conn.Instance() }

// Tell implements relay.Herald.
func (h herald) Tell(ctx context.Context, to string, news []byte) error {
	return h.conn.Publish(ctx, newsChannel+to, string(news))
}

// Hear implements relay.Herald.
func (h herald) Hear(call func(news []byte)) {
	h.conn.Subscribe(newsChannel+h.Name(), func(message string) { call([]byte(message)) })
}
