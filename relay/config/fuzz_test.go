package config_test

import (
	"io"
	"strings"
	"testing"

	"github.com/imrelay/imrelay/relay/config"
)

// FuzzLoad reads anything. Nothing panics, and no mistake shows what a variable held: a reference may stand anywhere.
func FuzzLoad(f *testing.F) {
	f.Add(whole)
	f.Add(base)
	f.Add("ims: {a: &x {format: ${S}, token: file:${S}, <<: *x}}\nlisten: ${S}\nlog: {level: ${S}}\n${S}: 1\n")
	f.Add("routes: [{agent: ${S}, im: \"x${S}\"}]\ninbound: {wait: ${S}, max_body: ${S}}\nloop: {turns: ${S}}\n")
	f.Add("? [a, b]\n: |\n  ${S}\n...\n---\n- *x\n")
	f.Add("agents: {a: {kind: k, url: \"${S}\", secrets: [\"${S}\", 'file:${S}'], retry: ${S}, x: {y: [${S}]}}}")
	f.Add("ims: {a: {limits: {jitter: ${S}, ramp: 1h, quiet: \"${S}-07:00 ${S}\"}}}")
	const held = "h3ld-s3cret"
	f.Fuzz(func(t *testing.T, file string) {
		if strings.Contains(file, held) {
			return
		}
		c, err := config.Parse("c.yaml", []byte(file), func(string) (string, bool) { return held, true })
		said := ""
		if err != nil {
			said = err.Error()
		}
		for name, a := range c.Agents {
			if err := a.Own.Decode(&kind{}); err != nil {
				said += err.Error()
			}
			said += c.Mistake("agents."+name, "x").Error()
		}
		if err := c.Print(io.Discard); err != nil {
			t.Errorf("print: %v", err)
		}
		if strings.Contains(said, held) {
			t.Errorf("a secret is in %s", said)
		}
	})
}
