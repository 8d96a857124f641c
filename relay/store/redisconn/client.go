package redisconn

import "github.com/redis/go-redis/v9"

// Client is the connection itself, for a library that brings its own scripts. What goes over it is not gathered with the
// calls of others. It is closed with the Conn.
func (c *Conn) Client() redis.UniversalClient { return c.client }
