package astrbot_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/agent/agenttest"
	"github.com/imrelay/imrelay/relay/agent/astrbot"
	"github.com/imrelay/imrelay/relay/secret"
)

// haste is how many times shorter the tests' waits are.
const haste = 30

const (
	token        = "hush-token"
	callbackPath = "hush-callback-path"
)

func newAgent(t *testing.T, c astrbot.Config, w agent.Wire) *astrbot.Agent {
	t.Helper()
	c.Token = secret.New(token)
	if c.Mode == "callback" {
		c.CallbackPath = secret.New(callbackPath)
	}
	a, err := astrbot.New(c, w)
	if err != nil {
		t.Fatal(err)
	}
	a.Hasten(haste)
	return a
}

// plugin answers as the plugin does: with the id that it was asked with in place of %s.
func plugin(status int, format string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			ID string `json:"msg_id"`
		}
		_ = json.NewDecoder(r.Body).Decode(&in)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, format, in.ID)
	}
}

const unknownRoute = `{"status":"error","message":"no such route","x":"%s"}`

func pluginMeanings() []agenttest.Meaning {
	return []agenttest.Meaning{
		{Name: "unknown route", Answer: plugin(200, unknownRoute), Status: 500},
		{Name: "another message", Answer: plugin(200, `{"code":0,"data":[],"msg_id":"x%s"}`), Status: 500},
		{Name: "number for an id", Answer: plugin(200, `{"code":0,"data":[],"msg_id":7,"x":"%s"}`), Status: 500},
		{Name: "no code", Answer: plugin(200, `{"data":[],"msg_id":"%s"}`), Status: 500},
		{Name: "code 401", Answer: plugin(200, `{"code":401,"data":[],"msg_id":"%s"}`), Status: 401},
		{Name: "code 1", Answer: plugin(200, `{"code":1,"data":[],"msg_id":"%s"}`), Status: 500},
		{Name: "code beyond", Answer: plugin(200, `{"code":1e99,"data":[],"msg_id":"%s"}`), Status: 500},
		{Name: "no JSON", Answer: plugin(200, `<html>%s`), Status: 500},
		{Name: "nothing", Answer: plugin(200, `%.0s`), Status: 500},
		{Name: "unknown 202", Answer: plugin(202, unknownRoute), Status: 500},
		{Name: "nothing to say", Answer: plugin(200, `{"code":0,"data":[],"msg_id":"%s"}`), Status: 200},
	}
}

func TestSuitePoll(t *testing.T) {
	t.Parallel()
	agenttest.Run(t, agenttest.Harness{
		New: func(t *testing.T, base string, w agent.Wire) relay.Agent {
			t.Helper()
			return newAgent(t, astrbot.Config{URL: base + "/api/plug/v1/chat"}, w)
		},
		Taken: plugin(200, `{"api_key_ttl":600000,"code":0,"data":[
			{"item_id":"a1","type":"text","content":"one"},{"item_id":"a2","type":"text","content":"two"}],
			"detail":"success","msg_id":"%s"}`),
		Says:     []string{"one", "two"},
		Requests: 3,
		Meanings: append(pluginMeanings(),
			agenttest.Meaning{
				Name: "things that are not items",
				Answer: plugin(200, `{"code":0,"msg_id":"%s","data":[7,null,{"item_id":"b1","type":"text","content":"said"},
					{"item_id":"b1","type":"text","content":"again"},{"item_id":"b2","type":"text","content":{"a":1}},
					{"item_id":"b3","type":"image","content":"/etc/passwd"},{"type":"text","content":"nameless"}]}`),
				Status: 200, Says: []string{"said", "nameless"},
			}),
		Secrets: []string{token},
	})
}

func TestSuiteCallback(t *testing.T) {
	t.Parallel()
	agenttest.Run(t, agenttest.Harness{
		New: func(t *testing.T, base string, w agent.Wire) relay.Agent {
			t.Helper()
			return newAgent(t, astrbot.Config{URL: base + "/api/plug/v1/chat", Mode: "callback"}, w)
		},
		Taken: plugin(200, `{"api_key_ttl":600000,"code":0,"data":[],"detail":"success","msg_id":"%s"}`),
		Meanings: append(pluginMeanings(),
			agenttest.Meaning{Name: "pending", Answer: plugin(202, `{"code":0,"data":[],"msg_id":"%s"}`), Status: 202},
			agenttest.Meaning{
				Name:   "callback is off",
				Answer: plugin(200, `{"code":0,"data":[{"item_id":"a","type":"text","content":"hi"}],"msg_id":"%s"}`),
				Status: 200, Says: []string{"hi"},
			}),
		Secrets: []string{token, callbackPath},
	})
}

func streamed(events string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		_, _ = io.WriteString(w, events)
	}
}

func TestSuiteAPI(t *testing.T) {
	t.Parallel()
	const end = "data: {\"type\":\"end\",\"data\":\"\"}\n\n"
	agenttest.Run(t, agenttest.Harness{
		New: func(t *testing.T, base string, w agent.Wire) relay.Agent {
			t.Helper()
			return newAgent(t, astrbot.Config{URL: base + "/", Mode: "api"}, w)
		},
		Taken: streamed("data: {\"type\":\"session_id\",\"session_id\":\"s\"}\n\n: heartbeat\n\n" +
			"data: {\"type\":\"plain\",\"data\":\"hm\",\"chain_type\":\"reasoning\"}\n\n" +
			"data: {\"type\":\"plain\",\"data\":\"one\",\"streaming\":false}\n\n" +
			"data: {\"type\":\"plain\",\"data\":\"t\",\"streaming\":true}\n\n" +
			"data: {\"type\":\"plain\",\"data\":\"wo\",\"streaming\":true}\n\n" +
			"data: {\"type\":\"complete\",\"data\":\"two\",\"streaming\":true}\n\n" + end),
		Says: []string{"one", "two"},
		Meanings: []agenttest.Meaning{
			{Name: "error in a 200", Answer: func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, `{"status":"error","message":"username is empty"}`)
			}, Status: 500},
			{Name: "error event", Answer: streamed("data: {\"type\":\"plain\",\"data\":\"one\"}\n\n" +
				"data: {\"type\":\"error\",\"data\":\"WebChat run failed\"}\n\n"), Status: 500},
			{Name: "no end", Answer: streamed("data: {\"type\":\"plain\",\"data\":\"one\"}\n\n")},
			{Name: "no stream", Answer: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, end) }, Status: 500},
			{Name: "nothing said", Answer: streamed(end), Status: 200},
			{Name: "noise", Answer: streamed("data: nonsense\n\ndata: [1]\n\ndata: {\"type\":7}\n\n" +
				"data: {\"type\":\"plain\",\"data\":{\"a\":1}}\n\n" + end), Status: 200},
		},
		Secrets: []string{token},
	})
}
