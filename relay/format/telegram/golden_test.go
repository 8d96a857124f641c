package telegram_test

import (
	"testing"

	"github.com/imrelay/imrelay/relay/format/formattest"
	"github.com/imrelay/imrelay/relay/format/telegram"
)

// robot is the account's own id in all samples.
const robot = "7104459213@relay_trial_bot"

func TestGolden(t *testing.T) {
	t.Parallel()
	formattest.Golden(t, telegram.Format{}, "testdata", robot)
}

func TestFormat(t *testing.T) {
	t.Parallel()
	formattest.Run(t, telegram.Format{})
}

func FuzzRead(f *testing.F) {
	formattest.Seed(f, "testdata")
	f.Fuzz(func(t *testing.T, body []byte) {
		formattest.Check(t, telegram.Format{}, body, robot)
		formattest.Check(t, telegram.Format{}, body, "")
	})
}
