package httpapi_test

import (
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// described is the API's description, loaded once.
type described struct {
	doc    *openapi3.T
	router routers.Router
	err    error
}

var loadOnce = sync.OnceValue(func() described {
	text, err := os.ReadFile("openapi.yaml")
	if err != nil {
		return described{err: err}
	}
	openapi3filter.RegisterBodyDecoder("application/yaml", openapi3filter.YamlBodyDecoder)
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		return described{err: err}
	}
	// Servers are left out, so that every host is one.
	router, err := gorillamux.NewRouter(doc)
	return described{doc: doc, router: router, err: err}
})

func document(t *testing.T) *openapi3.T {
	t.Helper()
	d := loadOnce()
	if d.err != nil {
		t.Fatalf("load openapi.yaml: %v", d.err)
	}
	return d.doc
}

func description(t *testing.T) routers.Router {
	t.Helper()
	document(t)
	return loadOnce().router
}

// TestDescriptionIsValid holds openapi.yaml to the standard, and to the text that the server gives out.
func TestDescriptionIsValid(t *testing.T) {
	t.Parallel()
	if err := document(t).Validate(t.Context()); err != nil {
		t.Errorf("openapi.yaml: %v", err)
	}
	r := newRig(t, nil)
	got := r.do(ask{method: http.MethodGet, path: "/openapi.yaml"})
	want, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if got.status != http.StatusOK || string(got.body) != string(want) {
		t.Errorf("got %d and %d bytes, want 200 and the file's %d", got.status, len(got.body), len(want))
	}
}

// TestDescribedPathsAreServed asks for every described path with every method: what is described must be there, what is
// not must be a 405 that names what is.
func TestDescribedPathsAreServed(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for path, item := range document(t).Paths.Map() {
		if path == "/metrics" || path == "/api/admin/stream" {
			continue // one is optional, the other does not end
		}
		target := strings.NewReplacer("{name}", "socket", "{id}", "msg_1", "{path}", "x").Replace(path)
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch} {
			got := r.do(ask{method: method, path: target})
			if item.GetOperation(method) != nil {
				if got.status == http.StatusMethodNotAllowed {
					t.Errorf("%s %s is described: got 405", method, path)
				}
				continue
			}
			got.want(t, http.StatusMethodNotAllowed, "method_not_allowed")
			for _, allowed := range []string{http.MethodGet, http.MethodPost} {
				named := strings.Contains(got.header.Get("Allow"), allowed)
				if described := item.GetOperation(allowed) != nil; named != described {
					t.Errorf("%s %s: got Allow %q, want %s in it: %v", method, path, got.header.Get("Allow"), allowed, described)
				}
			}
		}
	}
}

// TestUnknownPath answers a path that is none in the shape of all errors, whatever it looks like.
func TestUnknownPath(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for _, path := range []string{"/", "/im", "/im/open", "/im/open/inbound/", "//im/open/inbound", "/im//inbound", "/api/admin", "/api/admin/nothing", "/console/", "/im/a%2Fb/inbound", "/metrics", "/api/messages/xyz"} {
		r.do(ask{path: path}).want(t, http.StatusNotFound, "not_found")
	}
}
