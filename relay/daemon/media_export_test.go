package daemon

import (
	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/relay/config"
)

// Wire is what a connector of the account is made with.
func (d *Daemon) Wire(name string) connector.Wire { return d.connectorWire(name, config.IM{}) }
