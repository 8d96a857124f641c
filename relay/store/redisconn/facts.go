package redisconn

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// What a server does not tell: its CONFIG and INFO can be forbidden, as they are on many a rented Redis.
const (
	Unknown      = "unknown"
	UnknownCount = -1
)

// Facts are the settings of Redis that decide what it can lose. Of several masters each fact is the worst one's.
type Facts struct {
	// Mode is how it is reached, and Clustered whether the server takes itself for part of a Cluster.
	Mode      Mode
	Clustered bool
	// Masters is how many masters were looked at.
	Masters int
	// Version and Role ("master", "slave") are in the server's words, like all texts here. They may be Unknown.
	Version, Role string
	// AppendOnly is yes or no; AppendFsync is always, everysec or no; Save are the points of snapshots, empty: none.
	AppendOnly, AppendFsync, Save string
	// MaxMemory is the bound in bytes; 0: none.
	MaxMemory       int64
	MaxMemoryPolicy string
	// Replicas is how many are connected, MinReplicas how many of them must be for a write to be taken. They may be
	// UnknownCount, as MaxMemory may.
	Replicas, MinReplicas int
	// ClockAhead is by how much the clock of Redis is ahead of ours.
	ClockAhead time.Duration
	// WaitReplicas and Insecure are what this connection was opened with.
	WaitReplicas int
	Insecure     bool
}

// Facts asks all masters. Its error wraps ErrUnavailable, or is of the context.
func (c *Conn) Facts(ctx context.Context) (Facts, error) {
	var mu sync.Mutex
	var all []Facts
	look := func(ctx context.Context, server *redis.Client) error {
		f, err := ask(ctx, server)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		all = append(all, f)
		return nil
	}
	var err error
	switch client := c.client.(type) {
	case *redis.ClusterClient:
		err = client.ForEachMaster(ctx, look)
	case *redis.Client:
		err = look(ctx, client)
	}
	switch {
	case ctx.Err() != nil:
		return Facts{}, context.Cause(ctx)
	case err != nil:
		return Facts{}, unavailable(err)
	case len(all) == 0:
		return Facts{}, unavailable(errors.New("no master is known"))
	}
	f := all[0]
	for _, other := range all[1:] {
		f = f.worst(other)
	}
	f.Mode, f.Masters, f.WaitReplicas, f.Insecure = c.target.Mode, len(all), c.target.WaitReplicas, c.o.Insecure
	return f, nil
}

// ask asks one server.
func ask(ctx context.Context, server *redis.Client) (Facts, error) {
	asked := time.Now()
	now, err := server.Time(ctx).Result()
	if err != nil {
		return Facts{}, err
	}
	halfway := asked.Add(time.Since(asked) / 2)
	told := answers{}
	if err := told.info(ctx, server); err != nil {
		return Facts{}, err
	}
	if err := told.config(ctx, server); err != nil {
		return Facts{}, err
	}
	f := Facts{
		Clustered: told["redis_mode"] == "cluster", Version: told.text("redis_version"), Role: told.text("role"),
		AppendOnly: told.text("appendonly"), AppendFsync: told.text("appendfsync"), Save: told.text("save"),
		MaxMemory: told.count("maxmemory"), MaxMemoryPolicy: told.text("maxmemory-policy"),
		Replicas: int(told.count("connected_slaves")), MinReplicas: int(told.count("min-replicas-to-write")),
		ClockAhead: now.Sub(halfway),
	}
	if told["min-replicas-max-lag"] == "0" {
		f.MinReplicas = 0
	}
	return f, nil
}

// answers are what a server tells, by the names that its configuration and its INFO have for it.
type answers map[string]string

// info asks for what is so now. HELLO, which nobody forbids, knows some of it.
func (a answers) info(ctx context.Context, server *redis.Client) error {
	text, err := server.Info(ctx).Result()
	if refused(err) {
		return a.hello(ctx, server)
	}
	if err != nil {
		return err
	}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			a[name] = value
		}
	}
	a["maxmemory-policy"] = a["maxmemory_policy"]
	a["appendonly"] = map[string]string{"0": "no", "1": "yes"}[a["aof_enabled"]]
	// INFO has a line for the good ones only if there have to be some. How many is for CONFIG to say.
	if _, ok := a["min_slaves_good_slaves"]; !ok && a["connected_slaves"] != "" {
		a["min-replicas-to-write"] = "0"
	}
	return nil
}

func (a answers) hello(ctx context.Context, server *redis.Client) error {
	told, err := server.Do(ctx, "HELLO").Slice()
	if refused(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for i := 0; i+1 < len(told); i += 2 {
		name, _ := told[i].(string)
		value, _ := told[i+1].(string)
		switch name {
		case "version":
			a["redis_version"] = value
		case "mode":
			a["redis_mode"] = value
		case "role":
			a["role"] = strings.ReplaceAll(value, "replica", "slave")
		}
	}
	return nil
}

func (a answers) config(ctx context.Context, server *redis.Client) error {
	for _, name := range []string{
		"appendonly", "appendfsync", "save", "maxmemory", "maxmemory-policy", "min-replicas-to-write", "min-replicas-max-lag",
	} {
		values, err := server.ConfigGet(ctx, name).Result()
		if refused(err) {
			return nil
		}
		if err != nil {
			return err
		}
		if value, ok := values[name]; ok {
			a[name] = value
		}
	}
	return nil
}

// refused says that the server is there and does not want to tell.
func refused(err error) bool {
	_, ok := errors.AsType[redis.Error](err)
	return ok
}

// text is what was told; only the points of snapshots may be nothing.
func (a answers) text(name string) string {
	if v, ok := a[name]; ok && (v != "" || name == "save") {
		return v
	}
	return Unknown
}

func (a answers) count(name string) int64 {
	if n, err := strconv.ParseInt(a[name], 10, 64); err == nil {
		return n
	}
	return UnknownCount
}

// worst takes each fact from the server where it is worse. What is known to be bad is worse than what is not known.
func (f Facts) worst(g Facts) Facts {
	f.Clustered = f.Clustered || g.Clustered
	f.Version = worse(f.Version, g.Version, versionRank)
	f.Role = worse(f.Role, g.Role, rank("master", Unknown))
	f.AppendOnly = worse(f.AppendOnly, g.AppendOnly, rank("yes", Unknown))
	f.AppendFsync = worse(f.AppendFsync, g.AppendFsync, rank("always", Unknown, "everysec"))
	f.MaxMemoryPolicy = worse(f.MaxMemoryPolicy, g.MaxMemoryPolicy, rank("noeviction", Unknown))
	f.Save = worse(f.Save, g.Save, func(s string) int { return map[string]int{Unknown: 1, "": 2}[s] })
	f.Replicas, f.MinReplicas = fewest(f.Replicas, g.Replicas), fewest(f.MinReplicas, g.MinReplicas)
	if g.MaxMemory != 0 && (f.MaxMemory == 0 || g.MaxMemory < f.MaxMemory) {
		f.MaxMemory = g.MaxMemory
	}
	if g.ClockAhead.Abs() > f.ClockAhead.Abs() {
		f.ClockAhead = g.ClockAhead
	}
	return f
}

func worse(a, b string, badness func(string) int) string {
	if badness(b) > badness(a) {
		return b
	}
	return a
}

// rank tells how bad a setting is: the first one is best, and what is not named is worse than all.
func rank(settings ...string) func(string) int {
	return func(s string) int {
		for i, known := range settings {
			if s == known {
				return i
			}
		}
		return len(settings)
	}
}

func versionRank(v string) int {
	switch {
	case old(v):
		return 2
	case v == Unknown:
		return 1
	}
	return 0
}

func fewest(a, b int) int {
	if a == 0 || b == 0 {
		return 0
	}
	return min(a, b)
}
