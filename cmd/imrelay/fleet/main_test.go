//go:build unix

package fleet_test

import (
	"testing"

	"github.com/imrelay/imrelay/cmd/imrelay/fleet/fleettest"
)

func TestMain(m *testing.M) { fleettest.Main(m) }
