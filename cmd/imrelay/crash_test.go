package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/tidwall/gjson"
	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay/config"
	"github.com/imrelay/imrelay/relay/daemon"
	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/signer"
)

// The load of the crash test.
const (
	defaultKills = 20
	lanes        = 12
	maxRepeats   = 2 // for each kill and conversation
)

// kills is how often the relay is killed.
func kills(t *testing.T) int {
	t.Helper()
	v := os.Getenv("IMRELAY_CHAOS_KILLS")
	if v == "" {
		return defaultKills
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		t.Fatalf("IMRELAY_CHAOS_KILLS: got %q, want a number", v)
	}
	return n
}

// victim is a relay in a process of its own, which can be killed and started again on the same data and port.
type victim struct {
	t   *testing.T
	dir string
	env []string
	url string
	cmd *exec.Cmd
	// slowest is the longest time from a start until it was ready.
	slowest time.Duration
	log     *os.File
}

// newVictim prepares a relay that posts to agentURL and sends through imURL.
func newVictim(t *testing.T, agentURL, imURL, secret string) *victim {
	t.Helper()
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // only to find a free port
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	log, err := os.Create(filepath.Join(dir, "relay.log"))
	if err != nil {
		t.Fatal(err)
	}
	v := &victim{t: t, dir: dir, url: "http://" + address, log: log, env: []string{
		"PATH=" + os.Getenv("PATH"), "TMPDIR=" + dir, "NO_PROXY=*",
		"IMRELAY_LISTEN=" + address, "IMRELAY_DATA=" + filepath.Join(dir, "data"),
		"OPENCLAW_WEBHOOK_URL=" + agentURL, "OPENCLAW_WEBHOOK_SECRET=" + secret, "IM_BOT_TOKEN=" + secret + "-bot",
		"IM_SEND_URL=" + imURL,
	}}
	t.Cleanup(func() {
		v.kill()
		log.Close()
		if t.Failed() {
			tail(t, log.Name())
		}
	})
	return v
}

// tail shows the end of the relay's log.
func tail(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Logf("no log: %v", err)
		return
	}
	t.Logf("end of the relay's log:\n%s", b[max(0, len(b)-4000):])
}

// start starts the relay and waits until it is ready.
func (v *victim) start() {
	v.t.Helper()
	v.cmd = exec.Command("imrelay", "serve") //nolint:noctx // it is killed by hand: that is the test
	v.cmd.Env, v.cmd.Stderr = v.env, v.log
	began := time.Now()
	if err := v.cmd.Start(); err != nil {
		v.t.Fatal(err)
	}
	for deadline := began.Add(patience); ; {
		if status, _ := ask(http.MethodGet, v.url+"/readyz", nil, nil); status == http.StatusOK {
			break
		}
		if time.Now().After(deadline) {
			v.t.Fatal("the relay never got ready")
		}
		<-time.After(5 * time.Millisecond)
	}
	v.slowest = max(v.slowest, time.Since(began))
}

// kill ends the relay as a power cut would, but for what the system's own caches keep.
func (v *victim) kill() {
	if v.cmd == nil {
		return
	}
	_ = v.cmd.Process.Kill() // it fails only when the process is gone
	_ = v.cmd.Wait()         // "signal: killed" is what was asked for
	v.cmd = nil
}

// send sends a text with a key.
func (v *victim) send(key, text string, headers ...string) (int, http.Header, []byte) {
	h := http.Header{
		"Authorization": {"Bearer " + v.secret() + "-bot"}, "Content-Type": {"application/json"},
		"Idempotency-Key": {key},
	}
	for i := 0; i+1 < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	body, err := json.Marshal(map[string]string{"to": "wxid_alice", "text": text})
	if err != nil {
		return 0, nil, nil
	}
	return v.ask(http.MethodPost, "/api/messages/send", h, body)
}

func (v *victim) ask(method, path string, h http.Header, body []byte) (int, http.Header, []byte) {
	req, err := http.NewRequest(method, v.url+path, bytes.NewReader(body)) //nolint:noctx // the client bounds it
	if err != nil {
		return 0, nil, nil
	}
	req.Header = h
	resp, err := caller.Do(req)
	if err != nil {
		return 0, nil, nil
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, nil, nil
	}
	return resp.StatusCode, resp.Header, answer
}

func (v *victim) secret() string {
	for _, e := range v.env {
		if s, ok := bytes.CutPrefix([]byte(e), []byte("OPENCLAW_WEBHOOK_SECRET=")); ok {
			return string(s)
		}
	}
	return ""
}

// open opens the store of a killed relay.
func (v *victim) open(ctx context.Context) *daemon.Store {
	v.t.Helper()
	env := map[string]string{
		"OPENCLAW_WEBHOOK_SECRET": v.secret(), "IM_BOT_TOKEN": v.secret() + "-bot",
		"IMRELAY_DATA": filepath.Join(v.dir, "data"),
	}
	cfg, err := config.Load("", func(name string) (string, bool) { s, ok := env[name]; return s, ok })
	if err != nil {
		v.t.Fatal(err)
	}
	s, err := daemon.OpenStore(ctx, cfg, zap.NewNop())
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() { _ = s.Close() })
	return s
}

// landed is one delivery that reached the sink.
type landed struct {
	lane, seq, epoch int
	event            string
	intact           bool
	signed           error
}

// sink is an agent that checks and remembers.
type sink struct {
	verifier signer.Verifier

	mu    sync.Mutex
	all   []landed
	epoch int
}

// ServeHTTP takes a delivery, a little slowly, so that kills find some under way.
func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	l := landed{event: r.Header.Get("X-Relay-Event-Id"), signed: s.verifier.Verify(r.Header, body, time.Now())}
	if _, err := fmt.Sscanf(gjson.GetBytes(body, "Content.string").Str, "lane %d message %d", &l.lane, &l.seq); err == nil {
		l.intact = bytes.Equal(body, pushOf(l.lane, l.seq))
	}
	s.mu.Lock()
	l.epoch = s.epoch
	s.all = append(s.all, l)
	s.mu.Unlock()
	<-time.After(mathrand.N(4 * time.Millisecond))
	fmt.Fprint(w, `{"ok":true}`)
}

// pushOf is the push with a number of a lane. The odd space must survive.
func pushOf(lane, seq int) []byte {
	return fmt.Appendf(nil, `{"NewMsgId":%d, "MsgId":%d,"MsgType":1,"FromUserName":{"string":"wxid_lane%d"},`+
		`"ToUserName":{"string":"wxid_bot"},"Content":{"string":"lane %[3]d message %[2]d"},"Pad":"%[4]s"}`,
		7_000_000_000_000_000_001+lane*1_000_000+seq, seq, lane, bytes.Repeat([]byte("填"), seq%200))
}

// producer pushes the messages of one lane, each until it is accepted, and remembers the event ids.
func (v *victim) producer(ctx context.Context, lane int) (accepted []string) {
	for seq := 1; ; seq++ {
		h := http.Header{"Content-Type": {"application/json"}}
		if seq%3 != 0 {
			h.Set("Prefer", "respond-async")
		}
		for {
			status, _, answer := v.ask(http.MethodPost, "/im/inbound", h, pushOf(lane, seq))
			if id := gjson.GetBytes(answer, "eventId").Str; status/100 == 2 && id != "" {
				accepted = append(accepted, id)
				break
			}
			// The answer is not known, so the same message goes again, as IM servers do.
			select {
			case <-ctx.Done():
				return accepted
			case <-time.After(5 * time.Millisecond):
			}
		}
		select {
		case <-ctx.Done():
			return accepted
		case <-time.After(mathrand.N(8 * time.Millisecond)):
		}
	}
}

func TestCrashKeepsWhatWasAccepted(t *testing.T) {
	secret := rand.Text()
	verifier, err := signer.NewVerifier(signer.KindOpenClaw, secret)
	if err != nil {
		t.Fatal(err)
	}
	agent := &sink{verifier: verifier}
	server := httptest.NewServer(agent)
	t.Cleanup(server.Close)
	v := newVictim(t, server.URL, "http://127.0.0.1:1/send", secret)
	v.start()

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	accepted := make([][]string, lanes)
	var producing sync.WaitGroup
	for lane := range lanes {
		producing.Go(func() { accepted[lane] = v.producer(ctx, lane) })
	}
	n := kills(t)
	for range n {
		<-time.After(50*time.Millisecond + mathrand.N(350*time.Millisecond))
		v.kill()
		agent.mu.Lock()
		agent.epoch++
		agent.mu.Unlock()
		v.start()
	}
	stop()
	producing.Wait()
	v.drained()
	v.kill()

	aside := v.checkStore(accepted)
	agent.mu.Lock()
	defer agent.mu.Unlock()
	c := crashCheck{wrong: t.Errorf, accepted: accepted, aside: aside, landed: agent.all}
	total, repeats := c.all()
	if total < n*lanes {
		t.Errorf("got only %d accepted in %d kills: this proves nothing", total, n)
	}
	if v.slowest > readyWithin {
		t.Errorf("ready again: got %s at the slowest, want at most %s", v.slowest, readyWithin)
	}
	t.Logf("%d kills, %d accepted, %d repeats, ready again within %s", n, total, repeats, v.slowest.Round(time.Millisecond))
}

// drained waits until the relay has nothing on its way.
func (v *victim) drained() {
	v.t.Helper()
	run, err := daemon.ReadRunFile(filepath.Join(v.dir, "data"))
	if err != nil {
		v.t.Fatal(err)
	}
	h := http.Header{"Authorization": {"Bearer " + run.AdminToken}}
	var answer []byte
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		if _, _, answer = v.ask(http.MethodGet, "/api/admin/agents", h, nil); answer != nil {
			counts := gjson.GetBytes(answer, "agents.0.counts")
			if counts.Exists() && counts.Get("queued").Int()+counts.Get("delivering").Int() == 0 {
				return
			}
		}
		<-time.After(20 * time.Millisecond)
	}
	v.t.Fatalf("the backlog was never drained: %s", answer)
}

// checkStore looks into the books of the dead relay: nothing is in between, nothing is there that nobody was promised,
// and the file is whole. It returns the events that are parked or dead.
func (v *victim) checkStore(accepted [][]string) map[string]bool {
	v.t.Helper()
	ctx := context.Background()
	s := v.open(ctx)
	if err := s.Integrity(ctx); err != nil {
		v.t.Error(err)
	}
	aside, known, delivered := map[string]bool{}, map[string]bool{}, 0
	for _, ids := range accepted {
		for _, id := range ids {
			known[id] = true
		}
	}
	for f := (queue.Filter{Limit: 500}); ; {
		page, err := s.List(ctx, f)
		if err != nil {
			v.t.Fatal(err)
		}
		for _, j := range page.Jobs {
			switch {
			case j.Leased || j.State == queue.Queued:
				v.t.Errorf("event %s: still %s (leased %t)", j.ID, j.State, j.Leased)
			case j.State == queue.Delivered:
				delivered++
			default:
				aside[j.ID] = true
			}
		}
		if f.Before = page.Next; f.Before == 0 {
			break
		}
	}
	// The last message of a lane may be in the books although its answer got lost when the producers were stopped.
	if extra := delivered + len(aside) - len(known); extra < 0 || extra > lanes {
		v.t.Errorf("got %d delivered and %d aside for %d accepted", delivered, len(aside), len(known))
	}
	return aside
}

// crashCheck holds what is to be compared.
type crashCheck struct {
	// wrong is called with each thing that must not be.
	wrong    func(format string, args ...any)
	accepted [][]string
	aside    map[string]bool
	landed   []landed
}

func (c *crashCheck) all() (total, repeats int) {
	for _, l := range c.landed {
		if !l.intact || l.signed != nil {
			c.wrong("lane %d message %d: intact %t, signature %v", l.lane, l.seq, l.intact, l.signed)
		}
	}
	for lane := range c.accepted {
		total += len(c.accepted[lane])
		repeats += c.lane(lane)
	}
	return total, repeats
}

// lane checks one conversation and returns how many repeats there were.
func (c *crashCheck) lane(lane int) (repeats int) {
	ids := map[int]string{}       // of the first arrivals
	inEpoch := map[int]int{}      // repeats
	highest, before := 0, []int{} // before[e] is the highest first arrival before epoch e
	for _, l := range c.landed {
		if l.lane != lane {
			continue
		}
		for len(before) <= l.epoch {
			before = append(before, highest)
		}
		id, again := ids[l.seq]
		if !again {
			c.inOrder(l, highest)
			ids[l.seq], highest = l.event, max(highest, l.seq)
			continue
		}
		repeats++
		inEpoch[l.epoch]++
		if id != l.event {
			c.wrong("lane %d message %d came as %s and as %s", lane, l.seq, id, l.event)
		}
		if l.epoch == 0 || l.seq < before[l.epoch]-1 {
			c.wrong("lane %d message %d came again after kill %d, and was not under way: the last was %d",
				lane, l.seq, l.epoch, before[l.epoch])
		}
	}
	for epoch, n := range inEpoch {
		if n > maxRepeats {
			c.wrong("lane %d: got %d repeats after kill %d, want at most %d", lane, n, epoch, maxRepeats)
		}
	}
	for i, id := range c.accepted[lane] {
		if got, ok := ids[i+1]; !ok && !c.aside[id] {
			c.wrong("lane %d message %d (%s) was accepted and lost", lane, i+1, id)
		} else if ok && got != id {
			c.wrong("lane %d message %d was accepted as %s and came as %s", lane, i+1, id, got)
		}
	}
	return repeats
}

// inOrder checks a first arrival against the ones before it. Only what was put aside may come late, or be missing.
func (c *crashCheck) inOrder(l landed, highest int) {
	missing := []int{l.seq}
	if l.seq > highest {
		missing = nil
		for seq := highest + 1; seq < l.seq; seq++ {
			missing = append(missing, seq)
		}
	}
	for _, seq := range missing {
		if ids := c.accepted[l.lane]; seq > len(ids) || !c.aside[ids[seq-1]] {
			c.wrong("lane %d message %d came after %d", l.lane, l.seq, highest)
			return
		}
	}
}

// TestCrashCheckSees shows that the checks of the crash test are not blind.
func TestCrashCheckSees(t *testing.T) {
	t.Parallel()
	land := func(seq, epoch int) landed {
		return landed{seq: seq, epoch: epoch, event: fmt.Sprint("evt_", seq), intact: true}
	}
	good := func() crashCheck {
		return crashCheck{
			accepted: [][]string{{"evt_1", "evt_2", "evt_3", "evt_4"}}, aside: map[string]bool{},
			landed: []landed{land(1, 0), land(2, 0), land(3, 0), land(2, 1), land(3, 1), land(4, 1)},
		}
	}
	for _, row := range []struct {
		name string
		do   func(c *crashCheck)
		want int // at least, and none for 0
	}{
		{"all is well", func(*crashCheck) {}, 0},
		{"lost", func(c *crashCheck) { c.landed = c.landed[:5] }, 1},
		{"lost in the middle", func(c *crashCheck) { c.landed = slices.Delete(c.landed, 1, 2); c.landed[2].epoch = 1 }, 1},
		{"not lost but aside", func(c *crashCheck) { c.landed = c.landed[:5]; c.aside["evt_4"] = true }, 0},
		{"changed", func(c *crashCheck) { c.landed[2].intact = false }, 1},
		{"badly signed", func(c *crashCheck) { c.landed[2].signed = signer.ErrMismatch }, 1},
		{"out of order", func(c *crashCheck) { c.landed[0], c.landed[1] = c.landed[1], c.landed[0] }, 1},
		{"parked, so in any order", func(c *crashCheck) {
			c.landed = []landed{land(2, 0), land(1, 0), land(3, 0), land(4, 0)}
			c.aside["evt_1"] = true
		}, 0},
		{"repeated without a kill", func(c *crashCheck) { c.landed[3].epoch = 0 }, 1},
		{"repeated long after", func(c *crashCheck) { c.landed[3] = land(1, 1) }, 1},
		{"repeated under another id", func(c *crashCheck) { c.landed[4].event = "evt_9" }, 1},
		{"repeated too often", func(c *crashCheck) { c.landed = append(c.landed, land(4, 1)) }, 1},
		{"arrived under another id", func(c *crashCheck) { c.landed[5].event = "evt_9" }, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var wrong []string
			c := good()
			c.wrong = func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
			row.do(&c)
			c.all()
			if len(wrong) < row.want || row.want == 0 && len(wrong) > 0 {
				t.Errorf("got %q, want %d complaints", wrong, row.want)
			}
		})
	}
}

// chat is an IM that remembers the texts it was sent, and fails as it is told to.
type chat struct {
	mu    sync.Mutex
	texts []string
	// hold, if set, keeps answers back until it is closed.
	hold chan struct{}
	// hangUp breaks the connection in place of an answer.
	hangUp bool
	slow   time.Duration
}

func (c *chat) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	c.mu.Lock()
	c.texts = append(c.texts, gjson.GetBytes(body, "text").Str)
	id, hold, hangUp, slow := len(c.texts), c.hold, c.hangUp, c.slow
	c.mu.Unlock()
	if hangUp {
		panic(http.ErrAbortHandler)
	}
	if hold != nil {
		<-hold
	}
	<-time.After(slow)
	fmt.Fprintf(w, `{"messageId":"72654190388123490%02d"}`, id)
}

func (c *chat) set(f func(c *chat)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(c)
}

// count is how often a text was sent.
func (c *chat) count(text string) int {
	n := 0
	for _, got := range c.got() {
		if got == text {
			n++
		}
	}
	return n
}

func (c *chat) got() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.texts)
}

// newChat starts an IM and a relay before it.
func newChat(t *testing.T) (*chat, *victim) {
	t.Helper()
	im := &chat{slow: 20 * time.Millisecond}
	server := httptest.NewServer(im)
	t.Cleanup(server.Close)
	v := newVictim(t, "http://127.0.0.1:1/wechat_abot/webhook", server.URL+"/send", rand.Text())
	v.start()
	return im, v
}

func TestCrashSendsOnce(t *testing.T) {
	t.Parallel()
	im, v := newChat(t)
	var sending sync.WaitGroup
	answers := make([]string, 20)
	for i := range answers {
		sending.Go(func() {
			status, _, body := v.send("k-1", "once")
			answers[i] = fmt.Sprint(status, " ", string(body))
		})
	}
	sending.Wait()
	for _, got := range answers {
		if got != answers[0] || !bytes.HasPrefix([]byte(got), []byte("200 ")) {
			t.Errorf("got %q beside %q", got, answers[0])
		}
	}
	for range 3 {
		v.kill()
		v.start()
		status, h, body := v.send("k-1", "once")
		if got := fmt.Sprint(status, " ", string(body)); got != answers[0] || h.Get("Idempotent-Replayed") != "true" {
			t.Errorf("after kill -9: got %q (%v), want %q replayed", got, h, answers[0])
		}
	}
	if got := im.count("once"); got != 1 {
		t.Errorf("the IM was called %d times, want once", got)
	}
}

func TestCrashUnknownIsNotRepeated(t *testing.T) {
	t.Parallel()
	im, v := newChat(t)
	unknown := func(when, key, text string) {
		t.Helper()
		status, _, body := v.send(key, text)
		if code := gjson.GetBytes(body, "error.code").Str; status != http.StatusGatewayTimeout || code != "delivery_unknown" {
			t.Errorf("%s: got %d %s, want 504 delivery_unknown", when, status, body)
		}
		if got := im.count(text); got != 1 {
			t.Errorf("%s: the IM was called %d times, want once", when, got)
		}
	}
	im.set(func(c *chat) { c.hangUp = true })
	unknown("hang-up after the request was written", "k-hang", "hung up")
	im.set(func(c *chat) { c.hangUp = false })
	unknown("the same key again", "k-hang", "hung up")

	hold := make(chan struct{})
	im.set(func(c *chat) { c.hold = hold })
	done := make(chan int, 1)
	go func() { status, _, _ := v.send("k-kill", "killed"); done <- status }()
	for deadline := time.Now().Add(patience); im.count("killed") == 0; {
		if time.Now().After(deadline) {
			t.Fatal("the IM was never called")
		}
		<-time.After(5 * time.Millisecond)
	}
	v.kill()
	if got := <-done; got != 0 {
		t.Errorf("the killed relay answered %d", got)
	}
	im.set(func(c *chat) { c.hold = nil })
	close(hold)
	v.start()
	unknown("after kill -9 during the call", "k-kill", "killed")
	unknown("after a restart the hang-up", "k-hang", "hung up")

	status, _, body := v.send("k-new", "next")
	if status != http.StatusOK {
		t.Errorf("another message after that: got %d %s, want 200", status, body)
	}
}

func TestCrashBackgroundSends(t *testing.T) {
	t.Parallel()
	im, v := newChat(t)
	const messages, rounds = 30, 4
	ids := map[string]string{}
	for i := range messages {
		text := fmt.Sprintf("message %02d", i)
		status, _, body := v.send(text, text, "Prefer", "respond-async")
		if status != http.StatusAccepted {
			t.Fatalf("got %d %s, want 202", status, body)
		}
		ids[text] = gjson.GetBytes(body, "id").Str
	}
	for range rounds {
		<-time.After(mathrand.N(100 * time.Millisecond))
		v.kill()
		v.start()
	}
	unknown := 0
	for text, id := range ids {
		status := v.settled(id)
		sent := im.count(text)
		switch {
		case status == "sent" && sent == 1:
		case status == "unknown" && sent <= 1:
			unknown++
		default:
			t.Errorf("%s: got status %q and %d calls", text, status, sent)
		}
	}
	if unknown > rounds {
		t.Errorf("got %d unknown, want at most one a kill (%d)", unknown, rounds)
	}
	if got := im.got(); !slices.IsSorted(got) {
		t.Errorf("got %v, want them in order", got)
	}
}

// settled waits for the outcome of a background send.
func (v *victim) settled(id string) string {
	v.t.Helper()
	h := http.Header{"Authorization": {"Bearer " + v.secret() + "-bot"}}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		_, _, body := v.ask(http.MethodGet, "/api/messages/"+id, h, nil)
		if status := gjson.GetBytes(body, "status").Str; status != "" && status != "queued" {
			return status
		}
		<-time.After(10 * time.Millisecond)
	}
	v.t.Error(errors.New("message " + id + " never settled"))
	return ""
}
