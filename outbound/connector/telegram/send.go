package telegram

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/go-telegram/bot"
	"github.com/go-telegram/bot/models"
	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/relay/egress"
)

// maxAnswer bounds the answer to a send: the message as Telegram stores it, with the one that it replies to.
const maxAnswer = 1 << 20

// alarmToken is raised while Telegram knows no bot with the token.
const alarmToken = "token"

// Send implements [outbound.Connector].
func (c *Connector) Send(ctx context.Context, m outbound.Message) (outbound.Receipt, error) {
	p, err := placeOf(m.To)
	if err != nil {
		return outbound.Receipt{}, refusal("recipient", err)
	}
	was := p.chat
	p.chat, _ = c.moved.of(was)
	x := &exchange{
		doer: c.calls(), call: egress.Call{Timeout: c.wire.Bound(), MaxAnswer: maxAnswer, Ready: m.Ready},
	}
	b, err := bot.New(c.token, bot.WithHTTPClient(c.wire.Bound(), x), bot.WithServerURL(c.base), bot.WithSkipGetMe(),
		bot.WithErrorsHandler(func(error) {}), bot.WithUpdatesChannelCap(0))
	if err != nil {
		return outbound.Receipt{}, refusal("request", err)
	}
	text, entities := c.compose(m)
	err = post(ctx, b, p, parcel{Message: m, text: text, entities: entities})
	switch {
	case x.err != nil:
		return outbound.Receipt{}, x.err
	case !x.answered: // the library did not come to the call
		return outbound.Receipt{}, refusal("request", err)
	}
	// What the library makes of the answer is not looked at: it knows no waits in headers, and takes an id that it
	// cannot read for a failure.
	return c.judge(x.answer, route{was, p.chat}, append(c.hide, m.Text, text)...)
}

func refusal(code string, err error) *outbound.SendError {
	return &outbound.SendError{Reason: outbound.Rejected, Ours: true, Code: code, Detail: detail(err), Err: err}
}

// detail is the text of an error of ours. The library's may hold anything.
func detail(err error) string {
	if errors.Is(err, errPlace) {
		return errPlace.Error()
	}
	return "Telegram's library cannot make a request of it"
}

// parcel is a message with its text as it is shown.
type parcel struct {
	outbound.Message
	text     string
	entities []models.MessageEntity
}

// post makes the one call that the message takes.
func post(ctx context.Context, b *bot.Bot, p place, m parcel) (err error) {
	reply := replyTo(m.ReplyTo)
	if len(m.Media) == 0 {
		_, err = b.SendMessage(ctx, &bot.SendMessageParams{
			BusinessConnectionID: p.business, ChatID: p.id(), MessageThreadID: p.topic, DirectMessagesTopicID: p.direct,
			Text: m.text, Entities: m.entities, ReplyParameters: reply,
		})
		return err
	}
	file := &models.InputFileString{Data: m.Media[0].URL}
	plays := int((time.Duration(m.Media[0].Millis)*time.Millisecond + time.Second - 1) / time.Second)
	switch m.Media[0].Type {
	case "image":
		_, err = b.SendPhoto(ctx, &bot.SendPhotoParams{
			BusinessConnectionID: p.business, ChatID: p.id(), MessageThreadID: p.topic, DirectMessagesTopicID: p.direct,
			Photo: file, ReplyParameters: reply,
		})
	case "voice":
		_, err = b.SendVoice(ctx, &bot.SendVoiceParams{
			BusinessConnectionID: p.business, ChatID: p.id(), MessageThreadID: p.topic, DirectMessagesTopicID: p.direct,
			Voice: file, Duration: plays, ReplyParameters: reply,
		})
	case "video":
		_, err = b.SendVideo(ctx, &bot.SendVideoParams{
			BusinessConnectionID: p.business, ChatID: p.id(), MessageThreadID: p.topic, DirectMessagesTopicID: p.direct,
			Video: file, Duration: plays, ReplyParameters: reply,
		})
	default:
		_, err = b.SendDocument(ctx, &bot.SendDocumentParams{
			BusinessConnectionID: p.business, ChatID: p.id(), MessageThreadID: p.topic, DirectMessagesTopicID: p.direct,
			Document: file, ReplyParameters: reply,
		})
	}
	return err
}

// replyTo quotes a message, if it is there; what the format calls a message but is none has an id that is no number.
func replyTo(id string) *models.ReplyParameters {
	n, err := strconv.Atoi(id)
	if err != nil || n <= 0 {
		return nil
	}
	return &models.ReplyParameters{MessageID: n, AllowSendingWithoutReply: true}
}

// exchange is the library's HTTP client for one call. It keeps what the library would drop: whether anything was
// written, and the answer as it stood.
type exchange struct {
	doer egress.Doer
	call egress.Call

	answer   egress.Answer
	answered bool
	err      error
}

// Do implements the library's HttpClient.
func (x *exchange) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	x.call.Method, x.call.URL, x.call.Header, x.call.Body = r.Method, r.URL.String(), r.Header, body
	if x.answer, x.err = connector.Call(r.Context(), x.doer, x.call); x.err != nil {
		return nil, x.err
	}
	x.answered = true
	return &http.Response{
		StatusCode: x.answer.Status, Header: x.answer.Header, Body: io.NopCloser(bytes.NewReader(x.answer.Body)),
	}, nil
}

// route is the chat that a message is for, and the one that was called: another where the chat has moved.
type route struct{ chat, called string }

// judge says what the answer to a send means.
func (c *Connector) judge(a egress.Answer, r route, hide ...string) (outbound.Receipt, error) {
	if a.Status >= 200 && a.Status <= 299 {
		switch ok := verdictOf(a.Body); ok.Type {
		case gjson.True:
			c.wire.Alarm.Clear(alarmToken)
			return outbound.Receipt{ID: connector.ID(a.Body, "result.message_id")}, nil
		case gjson.False: // a gateway that hides the status
			a.Status = max(int(gjson.GetBytes(a.Body, "error_code").Int()), http.StatusBadRequest)
		}
	}
	a.Body = a.Body[:min(len(a.Body), egress.MaxAnswer)] // a refusal is short
	e := connector.Status(a, hide...)
	if e == nil {
		return outbound.Receipt{}, &outbound.SendError{Reason: outbound.Uncertain, Code: "answer"}
	}
	switch a.Status {
	case http.StatusUnauthorized, http.StatusNotFound:
		c.wire.Alarm.Raise(alarmToken, tokenText)
	case http.StatusTooManyRequests:
		e.Recipient = c.calm.alone(r.chat)
	case http.StatusBadRequest:
		c.follow(a.Body, r, e)
	}
	return outbound.Receipt{}, e
}

const tokenText = "Telegram knows no bot with this token: set the account's token to the one of @BotFather, " +
	"and its url to a Bot API server"

// verdictOf is the answer's "ok", if it is an answer.
func verdictOf(body []byte) gjson.Result {
	if !json.Valid(body) {
		return gjson.Result{}
	}
	return gjson.GetBytes(body, "ok")
}

// follow takes note of a chat's new id, so that the next try goes there. One that moves again and again is refused; one
// that moved while another send was under way to its old place is not.
func (c *Connector) follow(body []byte, r route, e *outbound.SendError) {
	if !json.Valid(body) {
		return
	}
	to := gjson.GetBytes(body, "parameters.migrate_to_chat_id")
	if r.called != r.chat || to.Type != gjson.Number || to.Raw == r.called {
		return
	}
	c.moved.note(r.chat, to.Raw)
	e.Reason = outbound.NotSent
}
