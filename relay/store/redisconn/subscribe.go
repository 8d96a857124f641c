package redisconn

import "context"

// Subscribe calls hear for each message on the channel until Close. It connects anew by itself; what was published
// meanwhile is lost. When it returns, what is published from now on is heard, if Redis is there. hear must not wait for
// long, nor for Close.
func (c *Conn) Subscribe(channel string, hear func(message string)) {
	sub := c.client.Subscribe(context.Background())
	ctx, cancel := context.WithTimeout(context.Background(), connectWithin)
	defer cancel()
	// Errors are those after which the subscription is made anew.
	if sub.Subscribe(ctx, channel) == nil {
		_, _ = sub.ReceiveTimeout(ctx, connectWithin)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.Load() {
		_ = sub.Close()
		return
	}
	c.subs = append(c.subs, sub)
	c.spawn(func(context.Context) {
		for m := range sub.Channel() {
			hear(m.Payload)
		}
	})
}
