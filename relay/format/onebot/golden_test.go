package onebot_test

import (
	"testing"

	"github.com/imrelay/imrelay/relay/format/formattest"
	"github.com/imrelay/imrelay/relay/format/onebot"
)

// robot is the account's own id in all samples.
const robot = "2810012345"

func TestGolden(t *testing.T) {
	t.Parallel()
	formattest.Golden(t, onebot.Format{}, "testdata", robot)
}

func TestFormat(t *testing.T) {
	t.Parallel()
	formattest.Run(t, onebot.Format{})
}

func FuzzRead(f *testing.F) {
	formattest.Seed(f, "testdata")
	f.Fuzz(func(t *testing.T, body []byte) {
		formattest.Check(t, onebot.Format{}, body, robot)
		formattest.Check(t, onebot.Format{}, body, "")
	})
}
