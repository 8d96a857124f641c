package onebottest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// longest is the longest frame that it reads.
const longest = 16 << 20

// peer is one WebSocket.
type peer struct {
	path          string
	events, calls bool
	header        http.Header
	silent        atomic.Bool
	cut           context.CancelFunc

	mu   sync.Mutex
	out  []string
	more chan struct{}
}

// queue queues a frame to be sent.
func (p *peer) queue(frame string) {
	if p.silent.Load() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out = append(p.out, frame)
	select {
	case p.more <- struct{}{}:
	default:
	}
}

// write sends what is queued, in order.
func (p *peer) write(ctx context.Context, ws *websocket.Conn) {
	for {
		p.mu.Lock()
		out := p.out
		p.out = nil
		p.mu.Unlock()
		for _, frame := range out {
			if ws.Write(ctx, websocket.MessageText, []byte(frame)) != nil {
				return
			}
		}
		if len(out) > 0 {
			continue
		}
		select {
		case <-p.more:
		case <-ctx.Done():
			return
		}
	}
}

// accept takes a connection.
func (f *Fake) accept(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return
	}
	if f.options.Token != "" && r.Header.Get("Authorization") != "Bearer "+f.options.Token &&
		r.URL.Query().Get("access_token") != f.options.Token {
		const no = `{"status":"failed","retcode":1403,"data":null,"message":"token验证失败","wording":"token验证失败","echo":null}`
		_ = ws.Write(context.WithoutCancel(r.Context()), websocket.MessageText, []byte(no))
		_ = ws.Close(websocket.StatusNormalClosure, "")
		return
	}
	path := strings.TrimSuffix(r.URL.Path, "/")
	f.serve(ws, &peer{path: path, events: path != "/api", calls: path != "/event", header: r.Header.Clone()})
}

// serve serves a WebSocket to its end.
func (f *Fake) serve(ws *websocket.Conn, p *peer) {
	ctx, cut := context.WithCancel(context.Background())
	defer cut()
	ws.SetReadLimit(longest)
	p.cut, p.more = cut, make(chan struct{}, 1)
	f.mu.Lock()
	f.peers[p] = struct{}{}
	f.opened++
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.peers, p)
	}()
	var parts sync.WaitGroup
	defer parts.Wait()
	defer cut()
	parts.Go(func() { p.write(ctx, ws) })
	if p.events {
		parts.Go(func() { f.beat(ctx, p) })
	}
	for {
		_, frame, err := ws.Read(ctx)
		if err != nil {
			return
		}
		parts.Go(func() { f.called(ctx, p, frame) })
		if f.options.Deaf > 0 && !pause(ctx, f.options.Deaf) {
			return
		}
	}
}

// beat begins a connection for events, and shows that it lives.
func (f *Fake) beat(ctx context.Context, p *peer) {
	if !f.options.Mute {
		p.queue(fmt.Sprintf(`{"time":1767002470,"self_id":%d,"post_type":"meta_event","meta_event_type":"lifecycle",`+
			`"sub_type":"connect"}`, f.options.Self))
	}
	for f.options.Heartbeat > 0 && pause(ctx, f.options.Heartbeat) {
		p.queue(fmt.Sprintf(`{"time":1767002470,"self_id":%d,"post_type":"meta_event","meta_event_type":"heartbeat",`+
			`"interval":%d,"status":{"online":true,"good":true}}`, f.options.Self, f.options.Heartbeat.Milliseconds()))
	}
}

// called answers one call, beside the others.
func (f *Fake) called(ctx context.Context, p *peer, frame []byte) {
	var got struct {
		Action string          `json:"action"`
		Params json.RawMessage `json:"params"`
		Echo   json.RawMessage `json:"echo"`
	}
	if json.Unmarshal(frame, &got) != nil {
		p.queue(`{"status":"failed","retcode":1400,"data":null,"message":"json解析失败","wording":"json解析失败","echo":null}`)
		return
	}
	if !p.calls {
		return
	}
	say, how := f.do(Action{Name: got.Action, Params: got.Params, Echo: got.Echo, Header: p.header, Path: p.path + "/"})
	if !pause(ctx, how.After) || how.Silence {
		return
	}
	if how.HangUp {
		p.cut()
		return
	}
	p.queue(withEcho(say, got.Echo))
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
