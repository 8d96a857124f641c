package xopcbot

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/egress"
)

// What is wrong with an answer under a 2xx, in words that are ours.
const (
	reasonNoAnswer = "the answer is none of xopcbot's: see url and api"
	reasonFailed   = "the run ended in an error"
	reasonNamed    = "the answer holds an error"
)

// meaning is what an answer under a 2xx means.
type meaning struct {
	status int    // 0: that of its first line
	text   string // what the agent says
	reason string
}

// named are the statuses of the error codes that gateways and their documentation know.
func named(code string) int {
	switch code {
	case "BAD_REQUEST", "INVALID_REQUEST":
		return http.StatusBadRequest
	case "NOT_FOUND", "CHANNEL_NOT_FOUND", "SESSION_NOT_FOUND":
		return http.StatusNotFound
	case "TOO_MANY_CONNECTIONS":
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// failure is the meaning of {"error":{"code":…}}; found is false if it is not there.
func failure(root gjson.Result) (m meaning, found bool) {
	code := root.Get("error.code")
	if code.Type != gjson.String {
		return meaning{}, false
	}
	return meaning{status: named(code.Str), reason: reasonNamed}, true
}

// meansReal reads {"ok":…,"payload":{"status":…,"content":…}}.
func meansReal(root gjson.Result) meaning {
	payload := root.Get("payload")
	switch ok := root.Get("ok").Type; {
	case ok == gjson.True && payload.Get("status").Str == "ok":
		return meaning{text: payload.Get("content").Str}
	case ok == gjson.True && payload.IsObject():
		return meaning{status: http.StatusInternalServerError, reason: reasonFailed}
	}
	if m, found := failure(root); found {
		return m
	}
	return meaning{status: http.StatusInternalServerError, reason: reasonNoAnswer}
}

// meansPage reads {"status":…,"reply":…}.
func meansPage(root gjson.Result) meaning {
	if m, found := failure(root); found {
		return m
	}
	switch status := root.Get("status"); {
	case status.Str == "ok":
		return meaning{text: root.Get("reply").Str}
	case status.Exists():
		return meaning{status: http.StatusInternalServerError, reason: reasonFailed}
	}
	return meaning{status: http.StatusInternalServerError, reason: reasonNoAnswer}
}

// outcome is that of an answer that is no stream. One that was cut is not valid.
func outcome(t turn, answer egress.Answer, means func(gjson.Result) meaning) relay.Outcome {
	root := gjson.Result{}
	if json.Valid(answer.Body) { // unlike gjson's, it bounds the depth
		root = gjson.ParseBytes(answer.Body)
	}
	out := relay.Outcome{
		Status: answer.Status, ContentType: answer.Header.Get("Content-Type"), Body: answer.Body,
		RetryAfter: retryAfter(answer.Header, root),
	}
	if !success(answer.Status) {
		return out
	}
	m := means(root)
	if m.status != 0 {
		out.Status, out.Reason = m.status, m.reason
		return out
	}
	out.Replies = agent.Answers(t.event, m.text)
	return out
}

// retryAfter is what the header says, else what a 429's body says.
func retryAfter(h http.Header, root gjson.Result) time.Duration {
	if wait := egress.RetryAfter(h.Get("Retry-After"), time.Now()); wait > 0 {
		return wait
	}
	seconds := root.Get("retryAfter")
	if seconds.Type != gjson.Number || seconds.Num <= 0 {
		return 0
	}
	n := int(math.Ceil(min(seconds.Num, egress.MaxRetryAfter.Seconds())))
	return egress.RetryAfter(strconv.Itoa(n), time.Now())
}
