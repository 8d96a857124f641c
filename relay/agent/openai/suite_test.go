package openai_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/agent/agenttest"
	"github.com/imrelay/imrelay/relay/agent/openai"
	"github.com/imrelay/imrelay/relay/secret"
)

// answers answers with a type and a body.
func answers(contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, body)
	}
}

// events answers with a stream of data.
func events(data ...string) http.HandlerFunc {
	return answers("text/event-stream", "data: "+strings.Join(data, "\n\ndata: ")+"\n\n")
}

func delta(text, finish string) string {
	return `{"choices":[{"index":0,"delta":{"content":"` + text + `"},"finish_reason":` + finish + `}]}`
}

func TestSuite(t *testing.T) {
	t.Parallel()
	const typeJSON = "application/json"
	hello := []string{"hello there"}
	agenttest.Run(t, agenttest.Harness{
		New: func(t *testing.T, base string, w agent.Wire) relay.Agent {
			t.Helper()
			c := openai.Default()
			c.URL, c.Model, c.Token = base+"/v1", "small-1", secret.New("sk-hush-1")
			a, err := openai.New(c, w)
			if err != nil {
				t.Fatal(err)
			}
			return a
		},
		Taken: events(delta("hello ", "null"), delta("there", "null"), delta("", `"stop"`), "[DONE]"),
		Says:  hello,
		Meanings: []agenttest.Meaning{
			{Name: "one piece", Status: 200, Says: hello, Answer: answers(typeJSON,
				`{"choices":[{"message":{"role":"assistant","content":"hello there"},"finish_reason":"stop"}]}`)},
			{Name: "one piece called a stream", Status: 200, Says: hello, Answer: answers("text/event-stream",
				"\n\n {\"choices\":[{\"message\":{\"content\":\"hello there\"}}]}")},
			{Name: "stream called text", Status: 200, Says: hello, Answer: answers("text/plain",
				"\r\n: wait\n\ndata: "+delta("hello there", `"stop"`)+"\n\n")},
			{Name: "last event without its empty line", Status: 200, Says: hello, Answer: answers("text/event-stream",
				"data: "+delta("hello there", `"stop"`))},
			{Name: "done without its empty line", Status: 200, Says: hello, Answer: answers("text/event-stream",
				"data: "+delta("hello there", "null")+"\n\ndata: [DONE]\n")},
			{Name: "cut by length", Status: 200, Says: hello, Answer: events(delta("hello there", `"length"`), "[DONE]")},
			{Name: "usage without choices", Status: 200, Says: hello, Answer: events(
				delta("hello there", `"stop"`), `{"choices":[],"usage":{}}`, `{"choices":null}`, "[DONE]")},
			{Name: "parts", Status: 200, Says: hello, Answer: events(
				`{"choices":[{"delta":{"content":[{"type":"thinking","text":"hm"}]}}]}`,
				`{"choices":[{"delta":{"content":[{"type":"text","text":"hello "},{"type":"text","text":"there"}]},"finish_reason":"stop"}]}`)},
			{Name: "thoughts", Status: 200, Says: hello, Answer: events(
				delta("<think>hm", "null"), delta("</think> hello there", `"stop"`))},
			{Name: "only thoughts", Status: 200, Answer: events(delta("<think>hm", `"length"`))},
			{Name: "thoughts within", Status: 200, Says: []string{"say <think>"}, Answer: events(
				delta("say <think>", `"stop"`))},
			{Name: "tool calls", Status: 200, Answer: events(
				`{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"rm"}}]},"finish_reason":"tool_calls"}]}`)},
			{Name: "error after the end", Status: 200, Says: hello, Answer: events(
				delta("hello there", `"stop"`), `{"error":{"code":500}}`)},
			{Name: "broken after the end", Status: 200, Says: hello, Answer: answers("text/event-stream",
				"data: "+delta("hello there", `"stop"`)+"\n\ndata: {\n\n")},
			{Name: "error with a number", Status: 503, Answer: events(
				delta("hel", "null"), `{"error":{"message":"sk-hush-1 is wrong","code":503}}`, "[DONE]")},
			{Name: "error with a number as text", Status: 429, Answer: events(`{"error":{"code":"429"}}`)},
			{Name: "error with a name", Status: 400, Answer: events(`{"error":{"type":"invalid_request_error","code":null}}`)},
			{Name: "error with an unknown name", Status: 500, Answer: events(`{"error":{"type":"oops","code":200}}`)},
			{Name: "error as text", Status: 500, Answer: answers(typeJSON, `{"error":"no such model"}`)},
			{Name: "error in a list", Status: 403, Answer: answers(typeJSON, `[{"error":{"code":403,"status":"PERMISSION_DENIED"}}]`)},
			{Name: "error of vLLM", Status: 404, Answer: answers(typeJSON, `{"object":"error","message":"no","code":404}`)},
			{Name: "error of a proxy", Status: 429, Answer: events(`{"error_type":"rate_limit_error","error_message":"no"}`)},
			{Name: "error event", Status: 429, Answer: answers("text/event-stream",
				"event: error\ndata: {\"code\":429}\n\ndata: [DONE]\n\n")},
			{Name: "finished by an error", Status: 500, Answer: events(delta("hel", `"error"`), "[DONE]")},
			{Name: "nothing but done", Status: 500, Answer: answers("text/event-stream",
				"error: {\"code\":400}\n\ndata: [DONE]\n\n")},
			{Name: "no choices", Status: 500, Answer: answers(typeJSON, `{"ok":true}`)},
			{Name: "page", Status: 500, Answer: answers("text/html", "<html>welcome</html>")},
			{Name: "empty", Status: 500, Answer: answers(typeJSON, "")},
			{Name: "deep", Status: 500, Answer: answers(typeJSON, strings.Repeat("[", 1<<19))},
			{Name: "chunk that is no JSON", Status: 500, Answer: events("{", "[DONE]")},
			{Name: "end in the middle", Answer: events(delta("hello there", "null"))},
			{Name: "empty stream", Answer: answers("text/event-stream", "")},
			{Name: "hang-up in the middle", Answer: func(w http.ResponseWriter, r *http.Request) {
				events(delta("hello there", "null"))(w, r)
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			}},
			{Name: "hang-up after the end", Status: 200, Says: hello, Answer: func(w http.ResponseWriter, r *http.Request) {
				events(delta("hello there", `"stop"`))(w, r)
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			}},
		},
		Secrets: []string{"sk-hush-1"},
	})
}
