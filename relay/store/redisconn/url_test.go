package redisconn_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/imrelay/imrelay/relay/secret"
	"github.com/imrelay/imrelay/relay/store/redisconn"
)

// TestParse covers the forms of a URL that are right.
func TestParse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		url           string
		mode          redisconn.Mode
		shards, waits int
	}{
		"host alone":           {"redis://cache", redisconn.Single, 16, 0},
		"host, port, database": {"redis://cache:6380/3", redisconn.Single, 16, 0},
		"password":             {"redis://:p%40ss@cache:6380", redisconn.Single, 16, 0},
		"user":                 {"redis://relay:p%3Fss@cache?shards=1", redisconn.Single, 1, 0},
		"a colon in passwords": {"redis://relay:a:b@cache", redisconn.Single, 16, 0},
		"IPv6":                 {"redis://[::1]:6380/0", redisconn.Single, 16, 0},
		"IPv6 without port":    {"redis://[::1]", redisconn.Single, 16, 0},
		"TLS":                  {"rediss://cache:6380?server_name=redis.internal", redisconn.Single, 16, 0},
		"socket":               {"unix:///run/redis/redis.sock?db=2&shards=256", redisconn.Single, 256, 0},
		"socket with password": {"unix://:secret@/run/redis.sock", redisconn.Single, 16, 0},
		"Sentinel":             {"redis+sentinel://a,b:26380,c/mymaster", redisconn.Sentinel, 16, 0},
		"Sentinel, all of it": {
			"rediss+sentinel://u:p@a,b/mymaster/1?sentinel_username=s&sentinel_password=x&wait_replicas=1",
			redisconn.Sentinel, 16, 1,
		},
		"Cluster":         {"redis+cluster://u:p@a:7000,b:7001,[::1]:7002?wait_replicas=2", redisconn.Cluster, 16, 2},
		"Cluster, db 0":   {"redis+cluster://a/0", redisconn.Cluster, 16, 0},
		"Cluster and TLS": {"rediss+cluster://a,b,c", redisconn.Cluster, 16, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := redisconn.Parse(secret.New(c.url))
			if err != nil {
				t.Fatalf("got %v, want a target", err)
			}
			if got.Mode != c.mode || got.Shards != c.shards || got.WaitReplicas != c.waits {
				t.Errorf("got %v with %d shards and %d replicas, want %v, %d, %d",
					got.Mode, got.Shards, got.WaitReplicas, c.mode, c.shards, c.waits)
			}
		})
	}
}

// TestParseRefuses gives URLs that are wrong, each with a password that must not come back.
func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ url, want string }{
		"nothing":                   {"", "does not begin with"},
		"no scheme":                 {"hunter2@cache:6379", "does not begin with"},
		"another scheme":            {"http://:hunter2@cache", "does not begin with"},
		"another kind":              {"redis+hunter2://cache", "does not begin with"},
		"no kind":                   {"redis+://:hunter2@cache", "does not begin with"},
		"no host":                   {"redis://:hunter2@", "host"},
		"port is no number":         {"redis://:hunter2@cache:hunter2", "host"},
		"port too high":             {"redis://:hunter2@cache:65536", "host"},
		"unbracketed IPv6":          {"redis://:hunter2@::1:6379", "host"},
		"slash in the password":     {"redis://:hun/ter2@cache", "host"},
		"question in the password":  {"redis://:hun?hunter2=@cache", "option"},
		"percent in the password":   {"redis://:hunter2%zz@cache", "password"},
		"user alone":                {"redis://hunter2@cache", "without a password"},
		"several hosts":             {"redis://:hunter2@a,b", "redis+sentinel://"},
		"empty host in a list":      {"redis+cluster://:hunter2@a,,b", "host"},
		"database is no number":     {"redis://:hunter2@cache/hunter2", "database"},
		"a path too many":           {"redis://:hunter2@cache/1/2", "database"},
		"database of a Cluster":     {"redis+cluster://:hunter2@a/1", "only number 0"},
		"no master":                 {"redis+sentinel://:hunter2@a", "no master"},
		"no socket":                 {"unix://:hunter2@", "socket"},
		"a host before the socket":  {"unix://hunter2/run/redis.sock", "socket"},
		"unknown option":            {"redis://cache?hunter2=1", "unknown"},
		"option of another scheme":  {"redis://cache?sentinel_password=hunter2", "no meaning"},
		"TLS option without TLS":    {"redis://cache?ca_file=hunter2", "no meaning"},
		"option twice":              {"redis://:hunter2@cache?shards=1&shards=2", "twice"},
		"option without value":      {"redis://:hunter2@cache?shards=", "without a value"},
		"no shards":                 {"redis://:hunter2@cache?shards=0", "from 1 to 256"},
		"too many shards":           {"redis://:hunter2@cache?shards=257", "from 1 to 256"},
		"shards are no number":      {"redis://cache?shards=hunter2", "from 1 to 256"},
		"fewer than no replicas":    {"redis://:hunter2@cache?wait_replicas=-1", "from 0 to 16"},
		"options that do not parse": {"redis://:hunter2@cache?%zz", "options"},
		"CA that is not there":      {"rediss://:hunter2@cache?ca_file=/nowhere/ca.pem", "ca_file"},
		"CA that is none":           {"rediss://:hunter2@cache?ca_file=url_test.go", "PEM"},
		"certificate without key":   {"rediss://:hunter2@cache?cert_file=c.pem", "both"},
		"certificate not there":     {"rediss://:hunter2@cache?cert_file=c.pem&key_file=k.pem", "cert_file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := redisconn.Parse(secret.New(c.url))
			var mistake *redisconn.URLError
			if !errors.As(err, &mistake) || !strings.Contains(mistake.Problem, c.want) {
				t.Fatalf("got %+v, %v, want a *URLError about %q", got, err, c.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows what may be a password: %v", err)
			}
		})
	}
}

// TestATargetPrintsNoSecret prints one in every way.
func TestATargetPrintsNoSecret(t *testing.T) {
	t.Parallel()
	got, err := redisconn.Parse(secret.New("redis+sentinel://relay:hunter2@a/m?sentinel_password=hunter3"))
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		if out := fmt.Sprintf(verb, got); strings.Contains(out, "hunter") || strings.Contains(out, "68756e746572") {
			t.Errorf("%s shows the password: %s", verb, out)
		}
	}
}
