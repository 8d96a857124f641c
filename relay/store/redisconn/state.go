package redisconn

import (
	"context"
	_ "embed" // the scripts
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
)

// Version is that of the scripts and keys. It rises when an older relay beside newer ones would do harm.
const Version = 1

// lookEvery is how often a relay looks at the mark and says that it runs.
const lookEvery = time.Second

// ErrMoving says that a migration of the data is under way, or was broken off. It is to be ended, or begun anew.
var ErrMoving = errors.New("a migration of the data in Redis is under way; when it was broken off, run imrelay store migrate again")

// ErrNotMover says that the migration in the mark is not, or no longer, that of the connection. Nothing was changed.
var ErrNotMover = errors.New("the migration is not ours")

// LayoutError says that the data is spread over another number of shards.
type LayoutError struct {
	// Has is the number in Redis, Want that of the URL.
	Has, Want int
}

// Error implements error.
func (e *LayoutError) Error() string {
	return fmt.Sprintf("the data in Redis is spread over %d shards and the URL says %d: say shards=%[1]d, or stop all relays "+
		"and run imrelay store migrate --to with a URL that ends in ?shards=%[2]d", e.Has, e.Want)
}

// VersionError says that a newer version of the program works on the data.
type VersionError struct {
	// Has is the version in Redis, Known the newest that this program knows.
	Has, Known int
}

// Error implements error.
func (e *VersionError) Error() string {
	return fmt.Sprintf("the data in Redis is of version %d and this program knows up to %d: run the newer program", e.Has, e.Known)
}

var (
	//go:embed store.lua
	storeSource string
	//go:embed move.lua
	moveSource string
	//go:embed relays.lua
	relaysSource string

	storeScript  = NewScript("store", storeSource)
	moveScript   = NewScript("move", moveSource)
	relaysScript = NewScript("relays", relaysSource)
	touchScript  = NewScript("touch", "return 1")
)

// mark and relays stand for the two keys that belong to no shard.
var (
	mark   = Shard{n: -1, prefix: "imrelay:store"}
	relays = Shard{n: -1, prefix: "imrelay:relays"}
)

// state is what the last look found.
type state struct {
	refused  error
	imported time.Time
}

// Imported is when a migration last brought data here; zero: never.
func (c *Conn) Imported() time.Time { return c.state.Load().imported }

// Relays counts the relays that run on this Redis: those heard of in the last five seconds, this one included.
func (c *Conn) Relays(ctx context.Context) (int, error) {
	replies, err := c.submit(ctx, "", []Call{c.presence("count")})
	if err != nil {
		return 0, err
	}
	n, _ := replies[0].(int64)
	return int(n), nil
}

// Ready says why Redis cannot be used now; nil: it can, for writing too.
func (c *Conn) Ready(ctx context.Context) error {
	if err := c.look(ctx); err != nil {
		return err
	}
	if _, ok := c.client.(*redis.ClusterClient); !ok {
		// The replicas that are waited for have to be there too.
		_, err := c.submit(ctx, "", []Call{{Script: touchScript, Shard: c.shards[0], Sync: true}})
		return err
	}
	// Each shard may be with another server. One without a replica is no reason to turn everything away from all relays.
	calls := make([]Call, len(c.shards))
	for i, s := range c.shards {
		calls[i] = Call{Script: touchScript, Shard: s}
	}
	_, err := c.submit(ctx, "", calls)
	return err
}

// BeginMove marks that a migration is under way: no relay starts, and those that run refuse all calls within about a
// second. The connection must have been opened with Moving.
func (c *Conn) BeginMove(ctx context.Context) error { return c.move(ctx, "begin") }

// EndMove marks that all data is here, in as many shards as the connection has: relays may start. It may be repeated; an
// error leaves open whether it was done (see [Conn.Layout]), but for [ErrNotMover].
func (c *Conn) EndMove(ctx context.Context) error { return c.move(ctx, "end") }

// AbandonMove marks that the migration was given up and nothing has changed for the relays. It is [ErrNotMover] when the
// migration has ended, was given up already, or is another one's by now.
func (c *Conn) AbandonMove(ctx context.Context) error { return c.move(ctx, "abandon") }

func (c *Conn) move(ctx context.Context, step string) error {
	if !c.o.Moving {
		return errors.New("move data: the connection was not opened for it")
	}
	replies, err := c.submit(ctx, "", []Call{{
		Script: moveScript, Shard: mark, Args: []any{step, c.instance, c.target.Shards, Version}, Sync: true,
	}})
	if err != nil {
		return err
	}
	if v, _ := replies[0].(int64); v > Version {
		return &VersionError{Has: int(v), Known: Version}
	} else if v == 0 {
		return fmt.Errorf("%s a migration: %w", step, ErrNotMover)
	}
	return nil
}

// look reads the mark, writes it where there is none, and says that this relay runs.
func (c *Conn) look(ctx context.Context) error {
	who := "own"
	if c.o.Moving {
		who = "moving"
	}
	calls := []Call{{Script: storeScript, Shard: mark, Args: []any{c.target.Shards, Version, who}}}
	if !c.o.Moving {
		calls = append(calls, c.presence("here"))
	}
	replies, err := c.submit(ctx, "", calls)
	if err != nil {
		return err
	}
	fields, _ := replies[0].([]any)
	s, wrote, err := c.judge(fields)
	if err != nil {
		return err
	}
	if before := c.state.Swap(&s); before != nil && wrote {
		c.log.Warn("redis has lost its data, or was emptied: relaying goes on with new messages")
	}
	if s.refused != nil {
		return unavailable(s.refused)
	}
	return nil
}

func (c *Conn) presence(what string) Call {
	return Call{Script: relaysScript, Shard: relays, Args: []any{what, c.instance}}
}

// judge reads what the look returned.
func (c *Conn) judge(fields []any) (s state, wrote bool, err error) {
	if len(fields) != 5 {
		return s, false, errors.New("read the mark of the store: the script returned something else")
	}
	var numbers [4]int64
	for i := range numbers {
		if text, _ := fields[i].(string); text != "" && i != 2 {
			if numbers[i], err = strconv.ParseInt(text, 10, 64); err != nil {
				return s, false, fmt.Errorf("read the mark of the store: %w", err)
			}
		}
	}
	if numbers[3] > 0 {
		s.imported = time.UnixMicro(numbers[3])
	}
	switch {
	case numbers[1] > Version:
		s.refused = &VersionError{Has: int(numbers[1]), Known: Version}
	case c.o.Moving:
	case fields[2] != "":
		s.refused = ErrMoving
	case int(numbers[0]) != c.target.Shards:
		s.refused = &LayoutError{Has: int(numbers[0]), Want: c.target.Shards}
	}
	return s, fields[4] == int64(1), nil
}

// watch looks once a second, until the relay ends.
func (c *Conn) watch(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		before := c.state.Load().refused
		err := c.look(ctx)
		if now := c.state.Load().refused; now != nil && before == nil {
			c.log.Error("redis is refused", zap.Error(err))
		}
		c.prune(ctx)
	}
}

// leave takes the relay off the list. When Redis is away it stays there for the few seconds that it counts.
func (c *Conn) leave() {
	if c.o.Moving || c.state.Load() == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patienceAway)
	defer cancel()
	_, _ = c.submit(ctx, "", []Call{c.presence("gone")})
}
