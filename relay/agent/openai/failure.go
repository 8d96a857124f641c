package openai

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

// meanings are the statuses of errors that have a name only.
var meanings = map[string]int{
	"invalid_request_error":     http.StatusBadRequest,
	"context_length_exceeded":   http.StatusBadRequest,
	"exceed_context_size_error": http.StatusBadRequest,
	"invalid_api_key":           http.StatusUnauthorized,
	"authentication_error":      http.StatusUnauthorized,
	"permission_error":          http.StatusForbidden,
	"model_not_found":           http.StatusNotFound,
	"not_found_error":           http.StatusNotFound,
	"rate_limit_exceeded":       http.StatusTooManyRequests,
	"rate_limit_error":          http.StatusTooManyRequests,
	"insufficient_quota":        http.StatusTooManyRequests,
	"overloaded_error":          http.StatusServiceUnavailable,
	"service_unavailable":       http.StatusServiceUnavailable,
}

// overflowing are the names and, for servers that give none, the words of an error that says that the request is too long
// for the model.
var overflowing = []string{
	"context_length_exceeded", "exceed_context_size", "context length", "context size", "context window",
}

// isError says whether a document is an error: under that name, in vLLM's older form, or in that of its proxies.
func isError(doc gjson.Result) bool {
	doc = only(doc)
	named := doc.Get("error")
	return named.IsObject() || named.Type == gjson.String && named.Str != "" || doc.Get("error_type").Exists() ||
		doc.Get("object").Str == "error"
}

// only is the document itself, or the first of a list: Google's gateway answers with a list of one error.
func only(doc gjson.Result) gjson.Result {
	if doc.IsArray() {
		return doc.Get("0")
	}
	return doc
}

// inside is the refusal that an error within a 2xx means.
func inside(doc gjson.Result) reply {
	status := statusOf(doc)
	return reply{
		status: status, reason: reasonError, contentType: "application/json", body: []byte(doc.Raw),
		overflow: overflows(status, doc),
	}
}

// statusOf is the status that an error names, else 500. A number is believed before a name.
func statusOf(doc gjson.Result) int {
	doc = only(doc)
	fields := []gjson.Result{
		doc.Get("error.code"), doc.Get("error.status"), doc.Get("error.type"), doc.Get("code"), doc.Get("error_type"),
	}
	for _, f := range fields {
		if n, err := strconv.Atoi(f.String()); err == nil && n >= 400 && n <= 599 {
			return n
		}
	}
	for _, f := range fields {
		if n, ok := meanings[strings.ToLower(f.String())]; ok {
			return n
		}
	}
	return http.StatusInternalServerError
}

// overflows says whether an error says that the request is too long for the model. Its text is looked into for that only.
func overflows(status int, doc gjson.Result) bool {
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity,
		http.StatusInternalServerError:
	default:
		return false
	}
	doc = only(doc)
	for _, path := range []string{
		"error.code", "error.type", "error.message", "error", "message", "code", "error_type", "error_message",
	} {
		text := strings.ToLower(doc.Get(path).Str)
		for _, words := range overflowing {
			if strings.Contains(text, words) {
				return true
			}
		}
	}
	return false
}
