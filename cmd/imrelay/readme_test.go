package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/imrelay/imrelay/relay/config"
	"github.com/imrelay/imrelay/relay/daemon"
)

// yamlBlock is a configuration in a page.
var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// comment is what a page may say in its own language.
var comment = regexp.MustCompile(`(?m)\s*#.*$`)

// The configurations of both pages are whole, are taken, and are the same.
func TestReadmeConfigurations(t *testing.T) {
	t.Parallel()
	var pages [2][]string
	for i, page := range []string{"../../README.md", "../../README.zh-CN.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range yamlBlock.FindAllSubmatch(text, -1) {
			cfg, err := config.Parse(page, m[1], func(name string) (string, bool) {
				if name == "IM_SEND_URL" {
					return "http://127.0.0.1:9000/send", true
				}
				return "value-of-" + name, !strings.HasPrefix(name, "IMRELAY_")
			})
			if err == nil {
				err = daemon.Check(cfg, daemon.Options{})
			}
			if err != nil {
				t.Errorf("%s: %v\n%s", page, err, m[1])
			}
			pages[i] = append(pages[i], comment.ReplaceAllString(string(m[1]), ""))
		}
	}
	if len(pages[0]) < 8 {
		t.Errorf("found %d configurations", len(pages[0]))
	}
	if diff := cmp.Diff(pages[0], pages[1]); diff != "" {
		t.Errorf("the pages differ (-en +zh):\n%s", diff)
	}
}
