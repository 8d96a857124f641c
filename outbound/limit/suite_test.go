package limit_test

import (
	"testing"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/limit"
	"github.com/imrelay/imrelay/outbound/limit/limittest"
)

func TestSuite(t *testing.T) {
	t.Parallel()
	limittest.Run(t, "wechat", func(*testing.T) outbound.Limiter { return new(limit.Limiter) })
}
