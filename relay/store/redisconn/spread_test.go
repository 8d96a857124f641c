package redisconn_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/imrelay/imrelay/relay/store/redisconn"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

// conversationsEach is how many conversations a relay of the simulation has. The n-th busiest of the fleet has 1/n of the
// traffic of the busiest.
const conversationsEach = 1000

// sigmas is how far from an even spread chance may go. A good hash exceeds it once in a million tables.
const sigmas = 6

// names are conversations as IMs name them, by what they look like.
var names = map[string]func(r *rand.Rand, n int) string{
	"wxid":      func(r *rand.Rand, _ int) string { return "wxid_" + text(r, "abcdefghijklmnopqrstuvwxyz0123456789", 14) },
	"chatroom":  func(r *rand.Rand, _ int) string { return text(r, "0123456789", 11) + "@chatroom" },
	"20 digits": func(r *rand.Rand, _ int) string { return "7" + text(r, "0123456789", 19) },
	"numbered":  func(_ *rand.Rand, n int) string { return fmt.Sprintf("wxid_peer%08d", n) },
	"short":     func(_ *rand.Rand, n int) string { return fmt.Sprint(10000 + n) },
	"hex":       func(r *rand.Rand, _ int) string { return "oc_" + text(r, "0123456789abcdef", 32) },
}

func text(r *rand.Rand, of string, n int) string {
	b := make([]byte, n)
	for i, left := 0, uint64(0); i < n; i++ {
		if left == 0 {
			left = r.Uint64()
		}
		b[i] = of[left%uint64(len(of))]
		left /= uint64(len(of))
	}
	return string(b)
}

// mixed makes conversations of all shapes in turn, the busiest of each shape first.
func mixed(count int) []string {
	r := rand.New(rand.NewPCG(20, 26))
	shapes := []string{"wxid", "chatroom", "20 digits", "numbered", "short", "hex"}
	all := make([]string, count)
	for i := range all {
		all[i] = names[shapes[i%len(shapes)]](r, i)
	}
	return all
}

// layouts are connections with so many shards, each on a database of its own.
func layouts(t *testing.T, shards ...int) map[int]*redisconn.Conn {
	t.Helper()
	s := redistest.Start(t)
	conns := map[int]*redisconn.Conn{}
	for i, n := range shards {
		conns[n] = open(t, s.URL(fmt.Sprintf("shards=%d&db=%d", n, i)))
	}
	return conns
}

// spread is what falls to each shard.
type spread struct {
	conversations, traffic []float64
	// weights and squares are the sums over the conversations.
	weights, squares float64
}

func spreadOf(c *redisconn.Conn, conversations []string) spread {
	n := len(c.Shards())
	s := spread{conversations: make([]float64, n), traffic: make([]float64, n)}
	for i, name := range conversations {
		w := 1 / float64(i+1)
		at := c.Shard("wechat", name).Index()
		s.conversations[at]++
		s.traffic[at] += w
		s.weights += w
		s.squares += w * w
	}
	return s
}

// bound is what no shard may have more of than chance allows, where no part is large.
func bound(sum, squares float64, shards int) float64 {
	even := 1 / float64(shards)
	return sum*even + sigmas*math.Sqrt(squares*even*(1-even))
}

// TestConversationsSpreadOverShards spreads those of fleets of all sizes, and logs how uneven it is.
func TestConversationsSpreadOverShards(t *testing.T) {
	t.Parallel()
	conns := layouts(t, 16, 64, 256)
	var table bytes.Buffer
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "relays\tconversations\tshards\tmost conversations\tmost traffic\tbusiest conversation")
	for _, relays := range []int{1, 10, 100, 1000} {
		conversations := mixed(relays * conversationsEach)
		for _, n := range []int{16, 64, 256} {
			s := spreadOf(conns[n], conversations)
			count := float64(len(conversations))
			most, busiest := slices.Max(s.conversations), slices.Max(s.traffic)
			if limit := bound(count, count, n); most > limit {
				t.Errorf("%d relays: a shard of %d has %g conversations, want at most %g", relays, n, most, limit)
			}
			// The busiest conversation is somewhere as a whole: chance decides about the others.
			if limit := 1 + bound(s.weights-1, s.squares-1, n); busiest > limit {
				t.Errorf("%d relays: a shard of %d has %g of the traffic, want at most %g", relays, n, busiest, limit)
			}
			fmt.Fprintf(w, "%d\t%d\t%d\t%.2f of the mean\t%.1f%% (mean %.1f%%)\t%.1f%%\n", relays, len(conversations), n,
				most*float64(n)/count, 100*busiest/s.weights, 100/float64(n), 100/s.weights)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", &table)
}

// TestEachShapeOfNameSpreads sees to it that no IM's way to name conversations puts them together.
func TestEachShapeOfNameSpreads(t *testing.T) {
	t.Parallel()
	const count = 20_000
	conns := layouts(t, 4, 16, 256)
	for shape, name := range names {
		r := rand.New(rand.NewPCG(7, 26))
		conversations := make([]string, count)
		for i := range conversations {
			conversations[i] = name(r, i)
		}
		for n, c := range conns {
			s := spreadOf(c, conversations)
			if most, limit := slices.Max(s.conversations), bound(count, count, n); most > limit {
				t.Errorf("%s: a shard of %d has %g conversations, want at most %g", shape, n, most, limit)
			}
		}
	}
}

// TestShardsSpreadOverMasters logs how many of the shards the masters of a Cluster have that share the slots evenly: none
// has two more than another.
func TestShardsSpreadOverMasters(t *testing.T) {
	t.Parallel()
	if got := slotOf("{123456789}:x"); got != 0x31c3 {
		t.Fatalf("got slot %#x, want 0x31c3", got)
	}
	conns := layouts(t, 16, 64, 256)
	var table bytes.Buffer
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "masters\tshards\tof each master\tmost, of the mean")
	for _, masters := range []int{3, 6, 12} {
		for _, n := range []int{16, 64, 256} {
			has := make([]int, masters)
			for _, s := range conns[n].Shards() {
				has[slotOf(s.Prefix())*masters/redisconn.Slots]++
			}
			most := slices.Max(has)
			if least := slices.Min(has); most > least+1 {
				t.Errorf("%d masters: one has %d of %d shards, another %d", masters, most, n, least)
			}
			fmt.Fprintf(w, "%d\t%d\t%v\t%.2f\n", masters, n, has, float64(most*masters)/float64(n))
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", &table)
}

// slotOf is the slot of a key with a tag.
func slotOf(key string) int {
	_, tag, _ := strings.Cut(key, "{")
	tag, _, _ = strings.Cut(tag, "}")
	return redisconn.Slot(tag)
}
