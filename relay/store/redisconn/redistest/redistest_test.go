package redistest_test

import (
	"testing"

	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

// TestSentinelsReplaceAMaster kills the master.
func TestSentinelsReplaceAMaster(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinel(t)
	old := s.KillMaster()
	now, took := s.AwaitPromotion(old)
	t.Logf("promoted after %v", took)
	if now != s.Servers[1] {
		t.Errorf("promoted %v, want the replica", now.Addr())
	}
}

// TestAClusterReplacesAMaster kills one of three.
func TestAClusterReplacesAMaster(t *testing.T) {
	t.Parallel()
	n := redistest.StartCluster(t)
	old := n.MasterOf("{a}")
	old.Kill()
	now, took := n.AwaitPromotion(old, "{a}")
	t.Logf("promoted after %v", took)
	if now == nil || now == old {
		t.Errorf("got %v, want another server than %v", now, old)
	}
}
