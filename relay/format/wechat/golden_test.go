package wechat_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/format/formattest"
	"github.com/imrelay/imrelay/relay/format/wechat"
)

// robot is the account's own id in all samples.
const robot = "wxid_robot7h3k8d5p22"

// families are the folders of samples that tell the same as those of the first family, gewechat's, each in its own way.
// They hold what no family can tell otherwise, too.
var families = []string{"snake", "xybot", "padpro_socket", "padpro_webhook", "gewe_flat", "longs"}

func TestGolden(t *testing.T) {
	t.Parallel()
	formattest.Golden(t, wechat.Format{}, "testdata", robot)
	for _, family := range families {
		t.Run(family, func(t *testing.T) {
			t.Parallel()
			formattest.Golden(t, wechat.Format{}, filepath.Join("testdata", family), robot)
		})
	}
}

// A message is the same whichever server pushes it, as far as that server tells it at all.
func TestFamilies(t *testing.T) {
	t.Parallel()
	untold := map[string]func(*relay.Envelope){
		"gewe_flat": func(e *relay.Envelope) { e.Mentioned, e.Nickname = false, "" }, // neither MsgSource nor PushContent
	}
	for _, family := range families {
		for _, kind := range []string{
			"private_text", "group_mention", "image", "voice", "quote", "recall", "group_system", "own_private", "own_group",
		} {
			t.Run(family+"/"+kind, func(t *testing.T) {
				t.Parallel()
				want := sample(t, kind)
				if forget := untold[family]; forget != nil {
					forget(&want)
				}
				got := sample(t, filepath.Join(family, kind))
				opts := []cmp.Option{cmpopts.IgnoreFields(relay.Envelope{}, "Raw")}
				if family == "padpro_webhook" && want.Nickname == "" {
					opts = append(opts, cmpopts.IgnoreFields(relay.Envelope{}, "Nickname")) // it knows more
				}
				if diff := cmp.Diff(want, got, opts...); diff != "" {
					t.Errorf("differs from the first family's (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// sample reads the message of a sample.
func sample(t *testing.T, name string) relay.Envelope {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return read(t, string(body), robot)
}

func TestFormat(t *testing.T) {
	t.Parallel()
	formattest.Run(t, wechat.Format{})
}

func FuzzRead(f *testing.F) {
	formattest.Seed(f, "testdata")
	for _, family := range families {
		formattest.Seed(f, filepath.Join("testdata", family))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		formattest.Check(t, wechat.Format{}, body, robot)
		formattest.Check(t, wechat.Format{}, body, "")
	})
}
