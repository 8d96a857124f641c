package redisconn_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/secret"
	"github.com/imrelay/imrelay/relay/store/redisconn"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

func optionsOf(url string) redisconn.Options { return redisconn.Options{URL: secret.New(url)} }

// TestPasswords opens with what is right and with what is not.
func TestPasswords(t *testing.T) {
	t.Parallel()
	s := redistest.StartTCP(t)
	for _, args := range [][]any{
		{
			"ACL", "SETUSER", "relay", "on", ">hunter2", "~imrelay:*", "~{imrelay:*", "&*", "-@all", "+evalsha", "+eval", "+incr",
			"+time", "+hmget", "+hset", "+zadd", "+zremrangebyscore", "+zrem", "+zcount",
		},
		{"CONFIG", "SET", "requirepass", "p@ss:/word"},
	} {
		if err := s.Client().Do(t.Context(), args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		url string
		ok  bool
		why string
	}{
		"the password":                  {"redis://:p%40ss%3A%2Fword@" + s.Addr(), true, ""},
		"the password, over the socket": {"unix://:p%40ss%3A%2Fword@" + s.Socket(), true, ""},
		"a user":                        {"redis://relay:hunter2@" + s.Addr(), true, ""},
		"none":                          {"redis://" + s.Addr(), false, "NOAUTH"},
		"another password":              {"redis://:hunter2@" + s.Addr(), false, "WRONGPASS"},
		"another user":                  {"redis://hunter2:hunter2@" + s.Addr(), false, "WRONGPASS"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.ok {
				do(t, open(t, c.url), count)
				return
			}
			err := tryOpen(t, optionsOf(c.url))
			if !errors.Is(err, redisconn.ErrUnavailable) || !strings.Contains(err.Error(), c.why) {
				t.Fatalf("got %v, want ErrUnavailable because of %s", err, c.why)
			}
			refused, _ := errors.AsType[*redisconn.RefusedError](err)
			if refused == nil || refused.Code != c.why || refused.Server != "Redis" {
				t.Errorf("got %v, want it told as a refusal", err)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

// TestRefusals opens where only a part refuses: the Sentinels, the master behind them, a Cluster, or a command.
func TestRefusals(t *testing.T) {
	t.Parallel()
	sentinels, masters, cluster, one := redistest.StartSentinel(t), redistest.StartSentinel(t), redistest.StartCluster(t), redistest.Start(t)
	for _, s := range sentinels.Sentinels {
		protect(t, s)
	}
	for _, s := range append(cluster.Servers[:], masters.Servers[:]...) {
		protect(t, s)
	}
	acl := one.Client().Do(t.Context(), "ACL", "SETUSER", "limited", "on", ">hunter2", "~*", "&*", "+@all", "-eval", "-evalsha")
	if err := acl.Err(); err != nil {
		t.Fatal(err)
	}
	at := func(url string) string { return strings.Replace(url, "://", "://:hunter3@", 1) }
	for name, c := range map[string]struct{ url, server, code string }{
		"the Sentinels want a password":       {sentinels.URL(""), "Sentinel", "NOAUTH"},
		"the Sentinels want another password": {sentinels.URL("sentinel_password=hunter3"), "Sentinel", "WRONGPASS"},
		"the master wants a password":         {masters.URL(""), "Redis", "NOAUTH"},
		"the master wants another password":   {at(masters.URL("")), "Redis", "WRONGPASS"},
		"the Cluster wants a password":        {cluster.URL(""), "Redis", "NOAUTH"},
		"the Cluster wants another password":  {at(cluster.URL("")), "Redis", "WRONGPASS"},
		"the user may run no script":          {"unix://limited:hunter2@" + one.Socket(), "Redis", "NOPERM"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := tryOpen(t, optionsOf(c.url))
			refused, _ := errors.AsType[*redisconn.RefusedError](err)
			if refused == nil || refused.Server != c.server || refused.Code != c.code || !errors.Is(err, redisconn.ErrUnavailable) {
				t.Errorf("got %v, want ErrUnavailable because of %s of %s", err, c.code, c.server)
			}
			if err != nil && strings.Contains(err.Error(), "hunter") {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

// protect sets the password hunter2.
func protect(tb testing.TB, s *redistest.Server) {
	tb.Helper()
	if err := s.Client().Do(tb.Context(), "ACL", "SETUSER", "default", "resetpass", ">hunter2").Err(); err != nil {
		tb.Fatal(err)
	}
}

// TestARefusalWhileRunning changes the password under a connection, and back.
func TestARefusalWhileRunning(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	conn := open(t, "unix://:hunter3@"+s.Socket())
	call := redisconn.Call{Script: count, Shard: conn.Shards()[0]}
	do(t, conn, count)
	admin := s.Client()
	for _, args := range [][]any{{"ACL", "SETUSER", "default", "resetpass", ">hunter2"}, {"CLIENT", "KILL", "TYPE", "normal"}} {
		if err := admin.Do(t.Context(), args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "calls are refused", func() bool {
		_, err := conn.Do(t.Context(), call)
		refused, _ := errors.AsType[*redisconn.RefusedError](err)
		return refused != nil && refused.Code == "WRONGPASS" && errors.Is(err, redisconn.ErrUnavailable)
	})
	if err := admin.Do(t.Context(), "ACL", "SETUSER", "default", ">hunter3").Err(); err != nil {
		t.Fatal(err)
	}
	back(t, conn, call)
}

// TestAStrangerRepeatsThePassword connects to what knows neither HELLO nor AUTH, and says so with their arguments.
func TestAStrangerRepeatsThePassword(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for b := make([]byte, 1024); ; {
					if _, err := conn.Read(b); err != nil {
						return
					}
					_, _ = conn.Write([]byte("-ERR unknown command 'AUTH', with args beginning with: 'hunter2'\r\n"))
				}
			}()
		}
	}()
	err = tryOpen(t, optionsOf("redis://:hunter2@"+l.Addr().String()))
	if !errors.Is(err, redisconn.ErrUnavailable) || !strings.Contains(err.Error(), "refuses: ERR") {
		t.Errorf("got %v, want ErrUnavailable with the code of the reply", err)
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error shows the password: %v", err)
	}
}

// authority signs certificates for a test.
type authority struct {
	tb   testing.TB
	dir  string
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(tb testing.TB) *authority {
	tb.Helper()
	a := &authority{tb: tb, dir: tb.TempDir()}
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.key = a.write("ca", a.cert)
	return a
}

// write makes a certificate and its key as files.
func (a *authority) write(name string, c *x509.Certificate) *ecdsa.PrivateKey {
	a.tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.tb.Fatal(err)
	}
	signer := a.key
	if signer == nil {
		signer = key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, key.Public(), signer)
	if err != nil {
		a.tb.Fatal(err)
	}
	secretDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.tb.Fatal(err)
	}
	for ext, block := range map[string]*pem.Block{
		".pem": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "PRIVATE KEY", Bytes: secretDER},
	} {
		if err := os.WriteFile(a.file(name+ext), pem.EncodeToMemory(block), 0o600); err != nil {
			a.tb.Fatal(err)
		}
	}
	return key
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) sign(name string, c *x509.Certificate) {
	c.SerialNumber, c.NotAfter = big.NewInt(2), time.Now().Add(time.Hour)
	c.Subject = pkix.Name{CommonName: name}
	a.write(name, c)
}

// TestTLS talks to a server that wants certificates, as Redis does unless told otherwise.
func TestTLS(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.sign("server", &x509.Certificate{DNSNames: []string{"redis.internal"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
	a.sign("named", &x509.Certificate{DNSNames: []string{"redis.internal"}})
	a.sign("relay", &x509.Certificate{})
	start := func(cert, clients string) string {
		port := strconv.Itoa(redistest.Port(t))
		redistest.Start(t, "--tls-port", port, "--bind", "127.0.0.1", "--tls-ca-cert-file", a.file("ca.pem"),
			"--tls-cert-file", a.file(cert+".pem"), "--tls-key-file", a.file(cert+".key"), "--tls-auth-clients", clients)
		return "127.0.0.1:" + port
	}
	both, one, named := start("server", "yes"), start("server", "no"), start("named", "no")
	mine := "&cert_file=" + a.file("relay.pem") + "&key_file=" + a.file("relay.key")
	ca := "?ca_file=" + a.file("ca.pem")
	for name, c := range map[string]struct {
		url string
		ok  bool
	}{
		"certificates on both sides":   {"rediss://" + both + ca + mine, true},
		"only the server's":            {"rediss://" + one + ca, true},
		"by another name":              {"rediss://" + named + ca + "&server_name=redis.internal", true},
		"the relay has no certificate": {"rediss://" + both + ca, false},
		"the CA is not known":          {"rediss://" + one, false},
		"the name is another one":      {"rediss://" + named + ca, false},
		"without TLS":                  {"redis://" + one, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.ok {
				conn := open(t, c.url)
				do(t, conn, count)
				return
			}
			if err := tryOpen(t, optionsOf(c.url)); !errors.Is(err, redisconn.ErrUnavailable) {
				t.Errorf("got %v, want ErrUnavailable", err)
			}
		})
	}
}
