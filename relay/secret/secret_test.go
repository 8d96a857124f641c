package secret_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/imrelay/imrelay/relay/secret"
)

const hidden = "hunter2-hunter2"

// holder has secrets everywhere that a configuration may have them, and where printing finds them without methods:
// in an unexported field.
type holder struct {
	Field   secret.Text            `json:"field" yaml:"field"`
	Pointer *secret.Text           `json:"pointer" yaml:"pointer"`
	List    []secret.Text          `json:"list" yaml:"list"`
	Map     map[string]secret.Text `json:"map" yaml:"map"`
	Any     any                    `json:"any" yaml:"any"`
	private secret.Text
	nested  struct{ list []secret.Text }
}

func newHolder() holder {
	s := secret.New(hidden)
	h := holder{
		Field: s, Pointer: &s, List: []secret.Text{s}, Map: map[string]secret.Text{"k": s}, Any: s, private: s,
	}
	h.nested.list = []secret.Text{s}
	return h
}

// leaks tells whether out shows the secret in any of the forms that a verb or an encoder gives it.
func leaks(out string) bool {
	for _, form := range []string{
		hidden, hex.EncodeToString([]byte(hidden)), strings.ToUpper(hex.EncodeToString([]byte(hidden))),
		strings.Trim(fmt.Sprintf("%d", []byte(hidden)), "[]"),
	} {
		if strings.Contains(out, form) {
			return true
		}
	}
	return false
}

// values are the secret alone and inside others.
func values() map[string]any {
	s, h := secret.New(hidden), newHolder()
	return map[string]any{
		"value": s, "pointer": &s, "slice": []secret.Text{s}, "array": [1]secret.Text{s},
		"map": map[string]secret.Text{"k": s}, "key of a map": map[secret.Text]int{s: 1},
		"struct": h, "pointer to a struct": &h, "error": fmt.Errorf("check %v", s),
	}
}

func TestNoVerbShowsASecret(t *testing.T) {
	t.Parallel()
	for name, v := range values() {
		for _, verb := range []string{
			"%v", "%+v", "%#v", "%q", "%+q", "%#q", "%s", "%10.3s", "%x", "%X", "% x", "%#x", "%d", "%t", "%c", "%U",
			"%b", "%o", "%e", "%p", "%T", "%!",
		} {
			if out := fmt.Sprintf(verb, v); leaks(out) {
				t.Errorf("%s: %s shows the secret: %s", name, verb, out)
			}
		}
		if out := fmt.Sprint(v) + fmt.Sprintln(v); leaks(out) {
			t.Errorf("%s: Sprint shows the secret: %s", name, out)
		}
	}
}

func TestNoEncoderShowsASecret(t *testing.T) {
	t.Parallel()
	encoders := map[string]func(any) ([]byte, error){
		"json": json.Marshal,
		"yaml": yaml.Marshal,
		"xml":  func(v any) ([]byte, error) { b, _ := xml.Marshal(v); return b, nil }, // maps are an error, and no leak
	}
	for encoder, marshal := range encoders {
		for name, v := range values() {
			out, err := marshal(v)
			if err != nil {
				t.Errorf("%s of %s: %v", encoder, name, err)
			}
			if leaks(string(out)) {
				t.Errorf("%s of %s shows the secret: %s", encoder, name, out)
			}
		}
	}
}

func TestNoLoggerShowsASecret(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	encoders := map[string]zapcore.Encoder{
		"json":    zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()),
		"console": zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig()),
	}
	for encoder, enc := range encoders {
		log := zap.New(zapcore.NewCore(enc, zapcore.AddSync(&out), zap.DebugLevel))
		for name, v := range values() {
			out.Reset()
			log.Info("config", zap.Any("v", v), zap.Reflect("r", v))
			log.Sugar().Infow("config", "v", v)
			log.Sugar().Infof("config %v %+v %#v", v, v, v)
			if got := out.String(); leaks(got) || !strings.Contains(got, "config") {
				t.Errorf("zap %s of %s: got %s, want a line without the secret", encoder, name, got)
			}
		}
	}
	for name, v := range values() {
		out.Reset()
		slog.New(slog.NewTextHandler(&out, nil)).Info("config", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("config", "v", v)
		if got := out.String(); leaks(got) {
			t.Errorf("slog of %s shows the secret: %s", name, got)
		}
	}
}

func TestPlaceholder(t *testing.T) {
	t.Parallel()
	s := secret.New(hidden)
	for name, row := range map[string]struct{ got, want string }{
		"%v":         {fmt.Sprintf("%v", s), "******"},
		"String":     {s.String(), "******"},
		"%#v":        {fmt.Sprintf("%#v", s), `secret.Text("******")`},
		"%v of none": {fmt.Sprintf("%v", secret.Text{}), ""},
		"GoString":   {secret.Text{}.GoString(), `secret.Text("")`},
	} {
		if row.got != row.want {
			t.Errorf("%s: got %q, want %q", name, row.got, row.want)
		}
	}
}

func TestDecodes(t *testing.T) {
	t.Parallel()
	var fromJSON, fromYAML struct {
		Token secret.Text `json:"token" yaml:"token"`
	}
	if err := json.Unmarshal([]byte(`{"token":"hunter2-hunter2"}`), &fromJSON); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte("token: hunter2-hunter2\n"), &fromYAML); err != nil {
		t.Fatal(err)
	}
	if got := fromJSON.Token.Reveal(); got != hidden {
		t.Errorf("from JSON: got %q, want %q", got, hidden)
	}
	if got := fromYAML.Token.Reveal(); got != hidden {
		t.Errorf("from YAML: got %q, want %q", got, hidden)
	}
	if fromJSON != fromYAML {
		t.Errorf("two Texts of the same secret differ")
	}
}

func TestEqual(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, held, given string
		want              bool
	}{
		{"the secret", hidden, hidden, true},
		{"another", hidden, "hunter3-hunter3", false},
		{"a longer one", hidden, hidden + "x", false},
		{"nothing", hidden, "", false},
		{"nothing against no secret", "", "", false},
		{"something against no secret", "", "x", false},
	} {
		s := secret.New(row.held)
		if got := s.Equal(row.given); got != row.want {
			t.Errorf("%s: got %v, want %v", row.name, got, row.want)
		}
		if got, want := s.IsZero(), row.held == ""; got != want {
			t.Errorf("%s: IsZero: got %v, want %v", row.name, got, want)
		}
		if got := s.Reveal(); got != row.held {
			t.Errorf("%s: Reveal: got %q, want %q", row.name, got, row.held)
		}
	}
	if secret.New("") != (secret.Text{}) || secret.New(hidden) == (secret.Text{}) {
		t.Errorf("only an empty secret is the zero value")
	}
}
