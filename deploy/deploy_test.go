package deploy_test

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/imrelay/imrelay/deploy"
	"github.com/imrelay/imrelay/relay/config"
	"github.com/imrelay/imrelay/relay/secret"
)

// locales are those of the two samples.
var locales = []string{"en_US.UTF-8", "zh_CN.UTF-8"}

func sample(t *testing.T, locale string) config.Config {
	t.Helper()
	c, err := config.Parse("sample", []byte(deploy.Sample(locale)), func(name string) (string, bool) {
		return "of-" + name, name == "IM_BOT_TOKEN" || name == "OPENCLAW_WEBHOOK_SECRET"
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestSampleHasTheDefaults reads both samples: what is not an example of its own is the default.
func TestSampleHasTheDefaults(t *testing.T) {
	t.Parallel()
	for _, locale := range locales {
		t.Run(locale, func(t *testing.T) {
			t.Parallel()
			got := sample(t, locale)
			want := config.Default()
			want.TrustedProxies, want.Routes = []netip.Prefix{}, []config.Route{}
			want.Outbound.MediaAllow = []netip.Prefix{}
			im := config.DefaultIM()
			im.Format, im.Allow = "wechat", []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
			im.Send.Kind = "http"
			want.IMs = map[string]config.IM{"wechat": im}
			agent := config.DefaultAgent()
			agent.Kind = "openclaw"
			want.Agents = map[string]config.Agent{"openclaw": agent}
			want.Clients = map[string]config.Client{
				"openclaw": {Token: secret.New("of-IM_BOT_TOKEN"), IMs: []string{}, Recipients: []string{}},
			}
			if diff := cmp.Diff(want, got, compare()...); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// compare leaves out the keys of kinds, which TestSampleHasEveryKey looks at.
func compare() []cmp.Option {
	return []cmp.Option{
		cmp.FilterPath(func(p cmp.Path) bool {
			return p.Last().String() == ".journal" || p.Last().String() == ".Own"
		}, cmp.Ignore()),
		cmp.Comparer(func(a, b secret.Text) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
		cmp.AllowUnexported(config.Config{}),
	}
}

// TestSampleHasEveryKey compares the keys of both samples with those that hold, which are all that there are.
func TestSampleHasEveryKey(t *testing.T) {
	t.Parallel()
	for _, locale := range locales {
		t.Run(locale, func(t *testing.T) {
			t.Parallel()
			var printed strings.Builder
			if err := sample(t, locale).Print(&printed); err != nil {
				t.Fatal(err)
			}
			want := keys(t, printed.String())
			want = slices.DeleteFunc(want, func(key string) bool { return key == "ims.wechat.signature.secrets" })
			if diff := cmp.Diff(want, keys(t, deploy.Sample(locale))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSamplesHaveTheSameValues(t *testing.T) {
	t.Parallel()
	english, chinese := values(t, deploy.Sample("C")), values(t, deploy.Sample("zh"))
	if diff := cmp.Diff(english, chinese); diff != "" {
		t.Errorf("(-English +Chinese):\n%s", diff)
	}
	if deploy.Sample("C") == deploy.Sample("zh") {
		t.Error("both samples are in one language")
	}
}

// values reads YAML into plain values.
func values(t *testing.T, text string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// keys are the paths of all leaves.
func keys(t *testing.T, text string) []string {
	t.Helper()
	found := map[string]bool{}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		m, ok := v.(map[string]any)
		if !ok || len(m) == 0 {
			found[strings.TrimPrefix(path, ".")] = true
			return
		}
		for key, inner := range m {
			walk(path+"."+key, inner)
		}
	}
	walk("", values(t, text))
	return slices.Sorted(maps.Keys(found))
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestComposeStarts puts what compose hands over into the configuration, with the three secrets that it insists on.
func TestComposeStarts(t *testing.T) {
	t.Parallel()
	var file struct {
		Services map[string]struct {
			Environment map[string]string `yaml:"environment"`
			ReadOnly    bool              `yaml:"read_only"`
			Volumes     []string          `yaml:"volumes"`
			StopGrace   string            `yaml:"stop_grace_period"`
		} `yaml:"services"`
		Volumes map[string]any `yaml:"volumes"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "compose.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	service := file.Services["imrelay"]
	handed := map[string]string{}
	var needed []string
	for name, v := range service.Environment {
		value, must := interpolate(v)
		if must {
			needed = append(needed, name)
			value = "of-" + name
		}
		handed[name] = value
	}
	slices.Sort(needed)
	if want := []string{"IM_BOT_TOKEN", "IM_INBOUND_TOKEN", "OPENCLAW_WEBHOOK_SECRET"}; !slices.Equal(needed, want) {
		t.Errorf("compose insists on %v, want %v", needed, want)
	}
	c, err := config.Load("", func(name string) (string, bool) { v, ok := handed[name]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	if c.Loopback() || len(c.Exposed()) > 0 {
		t.Errorf("listens on %s with open accounts %v, want all addresses and none", c.Listen, c.Exposed())
	}
	if _, named := file.Volumes["data"]; !named || !service.ReadOnly ||
		!slices.Equal(service.Volumes, []string{"data:/var/lib/imrelay"}) {
		t.Errorf("got volumes %v of %v, read-only %t", service.Volumes, file.Volumes, service.ReadOnly)
	}
	if d, err := time.ParseDuration(service.StopGrace); err != nil || d < c.Agents["openclaw"].Timeout {
		t.Errorf("stops after %s, want at least the %s of an attempt", service.StopGrace, c.Agents["openclaw"].Timeout)
	}
}

var interpolation = regexp.MustCompile(`^\$\{[A-Z_]+:([-?])(.*)\}$`)

// interpolate does what compose does with a variable that is not set: it takes the default, or insists.
func interpolate(s string) (value string, must bool) {
	m := interpolation.FindStringSubmatch(s)
	if m == nil {
		return s, false
	}
	return m[2], m[1] == "?"
}

// TestFilesAgree looks at what the container, compose and the unit must have in common with each other and the program.
func TestFilesAgree(t *testing.T) {
	t.Parallel()
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "../go.mod"))[1]
	rows := []struct{ file, want string }{
		{"Dockerfile", fmt.Sprintf("golang:%s-alpine", version)},
		{"Dockerfile", "CGO_ENABLED=0"},
		{"Dockerfile", "USER 65532:65532"},
		{"Dockerfile", "VOLUME /var/lib/imrelay"},
		{"Dockerfile", "IMRELAY_DATA=/var/lib/imrelay"},
		{"imrelay.service", "Environment=IMRELAY_DATA=/var/lib/imrelay"},
		{"imrelay.service", "RestartPreventExitStatus=78"},
		{"imrelay.service", "ExecStart=/usr/bin/imrelay serve --config "},
		{"compose.yaml", "dockerfile: deploy/Dockerfile"},
	}
	for _, row := range rows {
		if !strings.Contains(read(t, row.file), row.want) {
			t.Errorf("%s: got no %q", row.file, row.want)
		}
	}
}
