package ipadtest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/imrelay/imrelay/relay/egress"
)

// maxBody is how much of a request is read. A picture comes in it.
const maxBody = 32 << 20

// What is wrong with a call, in the servers' words.
var (
	ErrArgument = errors.New("参数错误: 不能为空")
	ErrMention  = errors.New("参数错误: 内容中没有@")
	ErrAll      = errors.New("没有权限@所有人")
	ErrMedium   = errors.New("参数错误: base64 格式错误")
)

// Read reads a call's body into v, which must name every key of it.
func Read(r *http.Request, v any) error {
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// Text makes a message of a text call, as picky as it can be.
func Text(to, text string, ats []string) (Sent, error) {
	m := Sent{To: to, Type: "text", Text: text, Ats: ats}
	for _, id := range ats {
		switch {
		case id == "" || strings.ContainsAny(id, ", \u2005"):
			return m, ErrArgument
		case strings.HasSuffix(id, "@all"):
			return m, ErrAll
		}
	}
	switch {
	case to == "" || text == "":
		return m, ErrArgument
	case strings.Count(text, "@") < len(ats):
		return m, ErrMention
	}
	return m, nil
}

// Medium makes a message of a call with a medium in base64.
func Medium(kind, to, data string) (Sent, error) {
	body, err := base64.StdEncoding.DecodeString(data)
	m := Sent{To: to, Type: kind, Medium: body}
	isImage := strings.HasPrefix(http.DetectContentType(body), "image/")
	isVoice := bytes.HasPrefix(body, []byte("\x02#!SILK_V3"))
	switch {
	case to == "" || data == "":
		return m, ErrArgument
	case err != nil, kind == "image" && !isImage, kind == "voice" && !isVoice:
		return m, ErrMedium
	}
	return m, nil
}

// Quote writes a text as JSON.
func Quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return `""` // no text has an error
	}
	return string(b)
}

// Server is an account whose calls a handler answers.
type Server struct {
	*Account

	handler http.Handler
}

var _ egress.Doer = (*Server)(nil)

// Serve makes a server that listens nowhere.
func Serve(o Options, h http.Handler) *Server { return &Server{New(o), h} }

// Start lets it listen on a port of its own until the test ends, and returns its base.
func (s *Server) Start(tb testing.TB) string {
	tb.Helper()
	l := httptest.NewServer(s.handler)
	tb.Cleanup(l.Close)
	return l.URL
}

// Do implements [egress.Doer] without any socket, so that calls may be made in a synctest bubble. The host of the URL is
// not looked at.
func (s *Server) Do(ctx context.Context, c egress.Call) (egress.Answer, error) {
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = egress.DefaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, c.Method, c.URL, bytes.NewReader(c.Body))
	if err == nil {
		err = ctx.Err()
	}
	if err == nil && c.Ready != nil {
		err = c.Ready()
	}
	if err != nil {
		return egress.Answer{}, &egress.Error{Reason: "no request", Err: err}
	}
	if r.Header = c.Header.Clone(); r.Header == nil {
		r.Header = http.Header{}
	}
	w := httptest.NewRecorder()
	if err := serve(s.handler, w, r); err != nil {
		return egress.Answer{}, &egress.Error{
			Written: true, Timeout: ctx.Err() != nil, Reason: "connection closed before an answer", Err: err,
		}
	}
	return egress.Answer{Status: w.Code, Header: w.Header(), Body: w.Body.Bytes()}, nil
}

// serve turns a hang-up into an error.
func serve(h http.Handler, w http.ResponseWriter, r *http.Request) (err error) {
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler:
			err = errors.New("hung up")
		default:
			panic(p)
		}
	}()
	h.ServeHTTP(w, r)
	return nil
}
