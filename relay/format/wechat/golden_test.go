package wechat_test

import (
	"testing"

	"github.com/imrelay/imrelay/relay/format/formattest"
	"github.com/imrelay/imrelay/relay/format/wechat"
)

// robot is the account's own id in all samples.
const robot = "wxid_robot7h3k8d5p22"

func TestGolden(t *testing.T) {
	t.Parallel()
	formattest.Golden(t, wechat.Format{}, "testdata", robot)
}

func TestFormat(t *testing.T) {
	t.Parallel()
	formattest.Run(t, wechat.Format{})
}

func FuzzRead(f *testing.F) {
	formattest.Seed(f, "testdata")
	f.Fuzz(func(t *testing.T, body []byte) {
		formattest.Check(t, wechat.Format{}, body, robot)
		formattest.Check(t, wechat.Format{}, body, "")
	})
}
