//go:build telegram_test_api

package telegram_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/outbound/connector/telegram"
	"github.com/imrelay/imrelay/relay/secret"
)

// realServer starts telegram-test-api and returns its base. testdata/real.sh installs it.
func realServer(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("TELEGRAM_TEST_API")
	if dir == "" {
		t.Fatal("TELEGRAM_TEST_API names no folder; run testdata/real.sh")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "node", "testdata/server.js", dir)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start node: %v", err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("server: %s", &complaints)
		}
	})
	port, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the server did not listen: %v", err)
	}
	return "http://127.0.0.1:" + strings.TrimSpace(port)
}

// ask posts JSON to the side of the server that a user of Telegram is on.
func ask(t *testing.T, url string, body any) (result json.RawMessage) {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := (&http.Client{}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		OK     bool            `json:"ok"`
		Result json.RawMessage `json:"result"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || !answer.OK {
		t.Fatalf("got %d, %v; want an answer", resp.StatusCode, err)
	}
	return answer.Result
}

// TestRealServerRoundTrip: what a user writes comes by a poll, and what is sent is seen by the user, through a server
// that knows nothing of us.
func TestRealServerRoundTrip(t *testing.T) {
	t.Parallel()
	const token, text = "7104459213:AAE-relay_trial_token", "good morning, 世界 😀"
	url := realServer(t)
	in := &inlet{}
	newPoll(t, url, token, in)
	for _, words := range []string{text, "again"} {
		ask(t, url+"/sendMessage", map[string]any{
			"botToken": token, "date": time.Now().Unix(), "text": words,
			"from": map[string]any{"id": 5812345678, "first_name": "Alice"},
			"chat": map[string]any{"id": 5812345678, "first_name": "Alice", "type": "private"},
		})
	}
	until(t, "both updates", func() bool { return len(in.taken()) >= 2 })
	type update struct {
		ID      int64 `json:"update_id"`
		Message struct {
			Text string `json:"text"`
			Chat struct {
				ID int64 `json:"id"`
			} `json:"chat"`
		} `json:"message"`
	}
	var got [2]update
	for i, body := range in.taken() {
		if err := json.Unmarshal([]byte(body), &got[i]); err != nil {
			t.Fatalf("update: %v", err)
		}
	}
	if got[0].Message.Text != text || got[1].Message.Text != "again" || got[0].Message.Chat.ID != 5812345678 ||
		got[1].ID <= got[0].ID {
		t.Errorf("got %+v, want both messages in order", got)
	}

	c := open(t, telegram.Config{URL: url, Token: secret.New(token)}, connector.Wire{Doer: dial(t)})
	receipt, err := c.Send(t.Context(), outbound.Message{
		To: "5812345678", Text: "**再见**, Alice", ReplyTo: "1", Mentions: []outbound.Mention{{ID: "5812345678", Name: "Alice"}},
	})
	if err != nil || receipt.ID == "" {
		t.Fatalf("send: got %q, %v", receipt.ID, err)
	}
	var shown []struct {
		ID      json.Number `json:"messageId"`
		Message struct {
			Text     string           `json:"text"`
			Entities []map[string]any `json:"entities"`
			Reply    string           `json:"reply_parameters"`
		} `json:"message"`
	}
	if err := json.Unmarshal(ask(t, url+"/getUpdates", map[string]any{"token": token, "chatId": "5812345678"}), &shown); err != nil {
		t.Fatal(err)
	}
	if len(shown) != 1 || shown[0].ID.String() != receipt.ID || shown[0].Message.Text != "再见, Alice" ||
		len(shown[0].Message.Entities) != 2 || !strings.Contains(shown[0].Message.Reply, `"message_id":1,`) {
		t.Errorf("the user sees %+v, want the message with the id %s", shown, receipt.ID)
	}
}
