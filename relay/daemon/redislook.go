package daemon

import (
	"context"
	"fmt"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay/config"
	"github.com/imrelay/imrelay/relay/store/redisconn"
)

// RedisProblem is something wrong with how Redis is set up.
type RedisProblem struct {
	// Severe says that a relay would not start, or would take nothing.
	Severe bool
	// Text says what is so, Hint what to do.
	Text, Hint string
}

// RedisReport is how the configured Redis stands.
type RedisReport struct {
	// Summary names what is there in one line.
	Summary string
	// Loss says in plain words what it can lose.
	Loss string
	// Relays is how many run on it.
	Relays int
	// Problems are what is wrong, the severe ones first.
	Problems []RedisProblem
}

// LookAtRedis looks at the configured Redis and changes nothing there.
func LookAtRedis(ctx context.Context, cfg config.Config) (RedisReport, error) {
	conn, err := redisconn.Open(ctx, redisconn.Options{URL: cfg.Redis, Moving: true, Log: zap.NewNop()})
	if err != nil {
		return RedisReport{}, fmt.Errorf("reach Redis: %w", err)
	}
	defer func() { _ = conn.Close() }() // nothing was changed
	facts, err := conn.Facts(ctx)
	if err != nil {
		return RedisReport{}, fmt.Errorf("look at Redis: %w", err)
	}
	relays, err := conn.Relays(ctx)
	if err != nil {
		return RedisReport{}, fmt.Errorf("count relays: %w", err)
	}
	layout, err := conn.Layout(ctx)
	if err != nil {
		return RedisReport{}, fmt.Errorf("read the layout: %w", err)
	}
	r := RedisReport{
		Summary: fmt.Sprintf("version %s, %s, %s, %d shards", facts.Version, facts.Mode, facts.Role, len(conn.Shards())),
		Loss:    facts.Loss(), Relays: relays,
	}
	if err := layout.Fits(len(conn.Shards())); err != nil {
		r.Problems = append(r.Problems, RedisProblem{Severe: true, Text: "another number of shards", Hint: err.Error()})
	}
	if layout.Mover != "" {
		r.Problems = append(r.Problems, RedisProblem{
			Severe: true, Text: "a migration is under way", Hint: "let it end; when it was broken off, run imrelay store migrate again",
		})
	}
	for _, p := range facts.Problems() {
		r.Problems = append(r.Problems, RedisProblem{
			Severe: p.Severity != redisconn.SeverityWarning, Text: p.Text, Hint: p.Hint,
		})
	}
	return r, nil
}
