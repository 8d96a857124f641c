package astrbot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/tidwall/gjson"
	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/egress"
	"github.com/imrelay/imrelay/relay/secret"
)

const (
	// keptFor is how long a key that was refreshed is remembered. Plugins give keys of days; each refresh renews it.
	keptFor = 366 * 24 * time.Hour
	// maxLeft bounds what is believed of a key's remaining time, in seconds.
	maxLeft = 10 * 366 * 24 * 3600
	// least and most bound the remaining time under which a key is refreshed.
	least, most = 10 * time.Minute, 24 * time.Hour
	// plug is where plugins are in AstrBot's paths.
	plug = "/api/plug/"
)

// keys has the plugin's key, and a new one before it expires.
//
// A key is low when less is left of it than a fifth of the longest remaining time that was seen, but a day at most and ten
// minutes at least. Then a new one is asked for with it, at most every 15 minutes. Only an answer of 200 with a key in it
// counts: version 1.1.1 of the plugin always answers 500, and shows the new key in AstrBot's web UI only. The old key goes
// on to work until it expires, so it is kept, and an operator is told. A new key is remembered under a digest of the
// configured one, so that another configured key wins.
type keys struct {
	configured, digest string
	fixed              bool
	refreshURL         string
	wire               agent.Wire
	times              *times

	mu      sync.Mutex
	key     string
	read    time.Time
	longest time.Duration
	low     bool
	tried   time.Time
}

// kept is a refreshed key as it is remembered.
type kept struct {
	// Of is the digest of the configured key that it came from.
	Of  string `json:"of"`
	Key string `json:"key"`
}

func newKeys(a *Agent, configured secret.Text) *keys {
	sum := sha256.Sum256([]byte(configured.Reveal()))
	return &keys{
		configured: configured.Reveal(), digest: hex.EncodeToString(sum[:]), fixed: a.mode == modeAPI,
		refreshURL: refreshURL(a.url), wire: a.wire, times: &a.times,
	}
}

// refreshURL is where the plugin at the endpoint gives new keys.
func refreshURL(endpoint string) string {
	const path = "hep/refresh_token"
	if base, _, ok := strings.Cut(endpoint, plug); ok {
		return base + plug + path
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return endpoint
	}
	return (&url.URL{Scheme: u.Scheme, User: u.User, Host: u.Host, Path: plug + path}).String()
}

// current is the key to use. Other relays may have refreshed it.
func (k *keys) current(ctx context.Context) (string, error) {
	if k.fixed {
		return k.configured, nil
	}
	k.mu.Lock()
	key, fresh := k.key, time.Since(k.read) < k.times.reread
	k.mu.Unlock()
	if key != "" && fresh {
		return key, nil
	}
	value, err := k.wire.Memory.Load(ctx, "key")
	if err != nil {
		return "", fmt.Errorf("load key: %w", err)
	}
	key = k.configured
	var was kept
	if value != nil && json.Unmarshal(value, &was) == nil && was.Of == k.digest && agent.IsToken(was.Key) {
		key = was.Key
	}
	k.use(key)
	return key, nil
}

// all are the keys that nobody else may see.
func (k *keys) all() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return []string{k.configured, k.key}
}

func (k *keys) use(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if key != k.key {
		k.longest, k.low = 0, false
	}
	k.key, k.read = key, time.Now()
}

// answered notes whether a key was refused.
func (k *keys) answered(status int) {
	switch {
	case status == http.StatusUnauthorized:
		k.mu.Lock()
		k.read = time.Time{}
		k.mu.Unlock()
		k.wire.Alarm.Raise(alarmRefused,
			"AstrBot refuses the token; take a new one from its web UI into the configuration, then replay what is dead")
	case status < 300:
		k.wire.Alarm.Clear(alarmRefused)
	}
}

// left notes what is left of the key.
func (k *keys) left(d time.Duration) {
	k.mu.Lock()
	k.longest = max(k.longest, d)
	k.low = d < max(least, min(most, k.longest/5))
	low := k.low
	k.mu.Unlock()
	if !low {
		k.wire.Alarm.Clear(alarmRefresh)
	}
}

// tend refreshes a key that is low.
func (k *keys) tend(ctx context.Context) {
	if !k.due(ctx) {
		return
	}
	limited, cancel := context.WithTimeout(ctx, k.times.refresh)
	defer cancel()
	key, err := k.refresh(limited)
	if err != nil && context.Cause(ctx) != nil {
		return
	}
	if err != nil {
		k.wire.Log.Warn("astrbot: the key was not refreshed", zap.Error(err))
		k.wire.Alarm.Raise(alarmRefresh,
			"the token expires soon and AstrBot gave no new one; take it from its web UI into the configuration")
		return
	}
	k.use(key)
	k.wire.Alarm.Clear(alarmRefresh)
	k.wire.Log.Info("astrbot: the key was refreshed")
}

// due says that a refresh is to be made now, and by whom it is told so. An attempt that has no time for it leaves it to
// the next.
func (k *keys) due(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	if ctx.Err() != nil || ok && time.Until(deadline) < k.times.refresh/10 {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.low || !k.tried.IsZero() && time.Since(k.tried) < k.times.again {
		return false
	}
	k.tried = time.Now()
	return true
}

// refresh gets a new key and makes it durable.
func (k *keys) refresh(ctx context.Context) (string, error) {
	old, err := k.current(ctx)
	if err != nil {
		return "", err
	}
	answer, err := k.wire.Doer.Do(ctx, egress.Call{
		Method: http.MethodPost, URL: k.refreshURL, Timeout: k.times.refresh,
		Header: http.Header{"Authorization": {"Bearer " + old}, "Content-Type": {"application/json"}}, Body: []byte("{}"),
	})
	if err != nil {
		return "", fmt.Errorf("ask for a key: %w", err)
	}
	if answer.Status != http.StatusOK {
		return "", fmt.Errorf("ask for a key: answered %d", answer.Status)
	}
	if !json.Valid(answer.Body) {
		return "", errors.New("ask for a key: the answer is no JSON")
	}
	doc := gjson.ParseBytes(answer.Body)
	key := doc.Get("data")
	if doc.Get("code").Num != 0 || key.Type != gjson.String || !agent.IsToken(key.Str) {
		return "", errors.New("ask for a key: the answer has none")
	}
	value, err := json.Marshal(kept{Of: k.digest, Key: key.Str})
	if err != nil {
		return "", fmt.Errorf("encode key: %w", err)
	}
	if err := k.wire.Memory.Save(ctx, "key", value, keptFor); err != nil {
		return "", fmt.Errorf("save key: %w", err)
	}
	return key.Str, nil
}
