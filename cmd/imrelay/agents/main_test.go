//go:build unix

package agents_test

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/imrelay/imrelay/cmd/imrelay/fleet/fleettest"
)

// atOnce is how many tests run beside each other unless -parallel says otherwise: they wait more than they work.
const atOnce = "5"

func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", atOnce); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fleettest.Main(m)
}
