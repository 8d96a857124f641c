package openclawtest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/imrelay/imrelay/relay/agent/agenttest"
)

const (
	// sendTries bounds how often the plugin sends one message.
	sendTries = 20
	// sendPause is between two of them, where the relay does not say.
	sendPause = 250 * time.Millisecond
	// sendTimeout bounds one.
	sendTimeout = 10 * time.Second
)

// insist sends until the relay says what became of it.
func (f *Fake) insist(up *life, s Send) bool {
	for range sendTries {
		status, pause := f.send(up, s)
		switch status {
		case 0, http.StatusConflict, http.StatusTooManyRequests, http.StatusServiceUnavailable:
			if !agenttest.Wait(up.ctx, pause) {
				return false
			}
		case http.StatusOK, http.StatusGatewayTimeout: // what may have been sent is not sent again
			return true
		default:
			return false
		}
	}
	return false
}

// send calls the relay once, and returns the status, 0 for none, and how long to wait before the next try.
func (f *Fake) send(up *life, s Send) (status int, pause time.Duration) {
	f.mu.Lock()
	api, token := f.api, f.botToken
	f.mu.Unlock()
	if api == "" {
		return http.StatusOK, 0
	}
	body := map[string]string{"to": s.To, "text": s.Text}
	if s.ReplyTo != "" {
		body["replyToMessageId"] = s.ReplyTo
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return http.StatusBadRequest, 0
	}
	req, err := http.NewRequestWithContext(up.ctx, http.MethodPost, api+"/messages/send", bytes.NewReader(raw))
	if err != nil {
		return http.StatusBadRequest, 0
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	if s.Key != "" {
		req.Header.Set("Idempotency-Key", s.Key)
	}
	client := &http.Client{Timeout: sendTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
	pause = sendPause
	if resp, err := client.Do(req); err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		s.Status = resp.StatusCode
		if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
			pause = time.Duration(n) * time.Second
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sends = append(f.sends, s)
	return s.Status, pause
}
