package memmemo_test

import (
	"testing"

	"github.com/imrelay/imrelay/relay/memo/memmemo"
	"github.com/imrelay/imrelay/relay/memo/memotest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	memotest.Run(t, open)
}

func TestMove(t *testing.T) {
	t.Parallel()
	memotest.RunMove(t, open, open)
}

func open(_ *testing.T, c *memotest.Clock) memotest.Subject {
	return memotest.Subject{Store: memmemo.New(memmemo.Options{Now: c.Now})}
}
