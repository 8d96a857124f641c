package xopcbot

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/tidwall/gjson"
	"github.com/tmaxmax/go-sse"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/egress"
)

const (
	// maxFrame bounds one event of a stream: results of tools are in it.
	maxFrame = 4 << 20
	// maxStream bounds a whole one.
	maxStream = 64 << 20
)

// errNoResult says that a stream ended as it should, but for its result.
var errNoResult = errors.New("the stream ended without a result")

// tale is what a stream has told so far.
type tale struct {
	run    string
	text   strings.Builder
	pause  bool // a message has ended since the last token
	over   bool // the result came
	result meaning
	failed meaning // of an error that came
}

// follow reads a run's stream to its result. run is the one that was resumed; empty: it is a new one, and noted when it
// says its id.
func (a *Agent) follow(ctx context.Context, t turn, s io.Reader, run string) (relay.Outcome, error) {
	var told tale
	var broken error
	for frame, err := range sse.Read(io.LimitReader(s, maxStream), &sse.ReadConfig{MaxEventSize: maxFrame}) {
		if err != nil {
			broken = err
			break
		}
		told.take(frame)
		if told.run != "" && run == "" {
			run = told.run
			a.note(ctx, t.event, run)
		}
		if told.over {
			break
		}
	}
	switch {
	case told.failed.status != 0:
		a.forget(ctx, t.event)
		return relay.Outcome{Status: told.failed.status, Reason: told.failed.reason}, nil
	case !told.over:
		return relay.Outcome{}, cut(broken)
	}
	text := told.result.text
	if strings.TrimSpace(text) == "" {
		text = told.text.String()
	}
	text = agent.Plain(text)
	return relay.Outcome{
		Status: http.StatusOK, ContentType: "text/plain; charset=utf-8", Body: []byte(text),
		Replies: agent.Answers(t.event, text),
	}, nil
}

// cut is the error of a stream that ended before its result.
func cut(err error) error {
	if err == nil {
		err = errNoResult
	}
	if _, ok := errors.AsType[*egress.Error](err); ok {
		return err
	}
	return &relay.AttemptError{Reason: "the stream ended before its result, or cannot be read", Err: err}
}

// take takes one event. Those about tools and thinking are not looked at.
func (t *tale) take(frame sse.Event) {
	switch frame.Type {
	case "message_end":
		t.pause = t.text.Len() > 0
		return
	case "status", "token", "error", "result":
	default:
		return
	}
	var root gjson.Result
	if json.Valid([]byte(frame.Data)) { // unlike gjson's, it bounds the depth
		root = gjson.Parse(frame.Data)
	}
	switch frame.Type {
	case "status":
		if run := root.Get("runId"); run.Type == gjson.String && len(run.Str) <= longestRun {
			t.run = run.Str
		}
	case "token":
		t.say(root.Get("content").Str)
	case "error":
		// A gateway says ok of a run that told of an error, and whoever resumes one is always told ok.
		t.fail(root)
	case "result":
		t.over, t.result = true, meansReal(root)
		if t.failed.status == 0 && t.result.status != 0 {
			t.failed = t.result
		}
	}
}

// say takes a piece of the answer. The messages of a run, between which it used tools, become paragraphs.
func (t *tale) say(piece string) {
	if piece == "" || t.text.Len() > agent.MaxReply {
		return
	}
	if t.pause {
		t.text.WriteString("\n\n")
		t.pause = false
	}
	t.text.WriteString(piece)
}

// fail takes an error: that of a run, or of the gateway, which has a code.
func (t *tale) fail(root gjson.Result) {
	m, found := failure(root)
	if !found {
		m = meaning{status: http.StatusInternalServerError, reason: reasonFailed}
	}
	t.failed = m
}
