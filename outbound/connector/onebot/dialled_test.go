package onebot_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector/onebot"
	"github.com/imrelay/imrelay/outbound/connector/onebot/onebottest"
	"github.com/imrelay/imrelay/relay/secret"
)

var errStore = errors.New("the store is away")

func event(n int) string {
	return fmt.Sprintf(`{"post_type":"message","message_id":%d, "raw_message":"é <%d>"}`, n, n)
}

func eventsTo(n int) (out []string) {
	for i := range n {
		out = append(out, event(i))
	}
	return out
}

// TestEventsComeInOrder, byte for byte.
func TestEventsComeInOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := dialled(t, onebottest.Options{}, true)
		for i := range 50 {
			r.fake.Push(event(i))
		}
		synctest.Wait()
		wantTexts(t, "events", r.taken(), eventsTo(50)...)
	})
}

// TestAnswersFindTheirCalls, in whatever order they come.
func TestAnswersFindTheirCalls(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := dialled(t, onebottest.Options{Own: true}, true)
		r.fake.Answers(func(a onebottest.Action) onebottest.Answer {
			_, rest, ok := strings.Cut(string(a.Params), "text no. ")
			if !ok {
				return onebottest.Answer{}
			}
			var n int
			if _, err := fmt.Sscanf(rest, "%d", &n); err != nil {
				t.Errorf("read %q: %v", rest, err)
			}
			return onebottest.Answer{
				After: time.Duration(20-n) * 100 * time.Millisecond,
				JSON:  fmt.Sprintf(`{"status":"ok","retcode":0,"data":{"message_id":%d}}`, 7000+n),
			}
		})
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				got, err := r.send(fmt.Sprintf("text no. %d.", i))
				if want := fmt.Sprint(7000 + i); err != nil || got.ID != want {
					t.Errorf("send %d: got %q, %v; want %s", i, got.ID, err, want)
				}
			})
		}
		wg.Wait()
		if _, ever := r.fake.Connections(); ever != 1 {
			t.Errorf("connections: got %d, want all on one", ever)
		}
	})
}

// TestAnswersPassEventsThatWait: a store that is away holds the events, not the sends.
func TestAnswersPassEventsThatWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := dialled(t, onebottest.Options{}, true)
		r.refuse(errStore)
		for i := range 20 {
			r.fake.Push(event(i))
		}
		r.mustSend("hello")
		pass(2 * time.Minute)
		wantTexts(t, "while the store is away", r.taken())
		r.refuse(nil)
		pass(10 * time.Second)
		wantTexts(t, "events", r.taken(), eventsTo(20)...)
	})
}

// TestAFullLineHoldsTheIM, loses nothing when there is room again, and is no silence of the IM.
func TestAFullLineHoldsTheIM(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := dialled(t, onebottest.Options{}, true)
		r.refuse(errStore)
		for i := range 1000 {
			r.fake.Push(event(i))
		}
		pass(9 * time.Minute)
		r.refuse(nil)
		pass(10 * time.Second)
		if got := r.taken(); len(got) != 1000 || got[0] != event(0) || got[999] != event(999) {
			t.Errorf("got %d events, want 1000 in order", len(got))
		}
		if _, ever := r.fake.Connections(); ever != 1 {
			t.Errorf("connections: got %d, want the first one kept", ever)
		}
	})
}

// TestEventsThatCannotBeTakenIn are given up after ten minutes, one line each, and after ten seconds at the end.
func TestEventsThatCannotBeTakenIn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := dialled(t, onebottest.Options{}, true)
		r.refuse(errStore)
		r.fake.Push(event(0))
		pass(11 * time.Minute)
		if n := r.logs.FilterMessage("event lost").Len(); n != 1 {
			t.Errorf("lines about a lost event: got %d, want 1", n)
		}
		for i := range 1000 {
			r.fake.Push(event(i))
		}
		synctest.Wait()
		began := time.Now()
		r.stop()
		if took := time.Since(began); took < 10*time.Second || took > 11*time.Second {
			t.Errorf("stopped after %v, want it after ten seconds", took)
		}
		if n := r.logs.FilterMessage("events lost at the end").Len(); n != 1 {
			t.Errorf("lines about what was lost at the end: got %d, want 1", n)
		}
	})
}

// TestALostConnectionIsMadeAgain, later and later, and told about when it stays away.
func TestALostConnectionIsMadeAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := dialled(t, onebottest.Options{}, true)
		r.fake.Drop()
		pass(2 * time.Second)
		if now, ever := r.fake.Connections(); now != 1 || ever != 2 {
			t.Fatalf("connections: got %d of %d, want a second one", now, ever)
		}
		r.net.cut(true)
		r.fake.Drop()
		before := r.net.tried()
		pass(5 * time.Minute)
		if n := r.net.tried() - before; n < 24 || n > 45 {
			t.Errorf("tries within five minutes: got %d, want about one each ten seconds", n)
		}
		if !r.alarm("disconnected") {
			t.Error("got no alarm after minutes without a connection")
		}
		_, err := r.send("hello")
		wantReason(t, err, outbound.NotSent, "connection failed")
		r.net.cut(false)
		pass(80 * time.Second)
		if now, _ := r.fake.Connections(); now != 1 || r.alarm("disconnected") {
			t.Errorf("got %d connections, alarm %v; want one and none", now, r.alarm("disconnected"))
		}
		r.mustSend("hello")
	})
}

// TestSilenceIsNoConnection: a half-open connection is found out by its heartbeats' own measure.
func TestSilenceIsNoConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := dialled(t, onebottest.Options{Heartbeat: 5 * time.Second}, true)
		pass(time.Minute)
		if _, ever := r.fake.Connections(); ever != 1 {
			t.Fatalf("connections: got %d, want one while it beats", ever)
		}
		r.fake.Silence(true)
		pass(14 * time.Second)
		if _, ever := r.fake.Connections(); ever != 1 {
			t.Fatalf("connections: got %d before three beats were missing", ever)
		}
		pass(15 * time.Second) // the third beat, the probe's 5 s, the pause
		if now, ever := r.fake.Connections(); ever != 2 || now != 1 {
			t.Fatalf("connections: got %d of %d, want the second in the place of the first", now, ever)
		}
		r.mustSend("hello")
	})
}

// TestAQuietAccountIsAsked where there are no heartbeats, and keeps its connection when it answers.
func TestAQuietAccountIsAsked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := dialled(t, onebottest.Options{}, true)
		pass(time.Hour)
		if _, ever := r.fake.Connections(); ever != 1 {
			t.Errorf("connections: got %d, want one", ever)
		}
	})
}

// TestADoubtedConnectionStaysUntilTheNextWorks: what it still brings is taken.
func TestADoubtedConnectionStaysUntilTheNextWorks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := dialled(t, onebottest.Options{}, true)
		r.fake.Silence(true)
		r.net.cut(true)
		pass(5 * time.Minute)
		if now, _ := r.fake.Connections(); now != 1 {
			t.Fatalf("connections: got %d, want the doubted one", now)
		}
		r.fake.Silence(false)
		r.fake.Push(event(0))
		synctest.Wait()
		wantTexts(t, "events", r.taken(), event(0))
		r.net.cut(false)
		pass(80 * time.Second)
		if now, ever := r.fake.Connections(); now != 1 || ever != 2 {
			t.Errorf("connections: got %d of %d, want the new one only", now, ever)
		}
	})
}

// TestUnknownOutcomes: once the frame is written, only an answer tells.
func TestUnknownOutcomes(t *testing.T) {
	t.Parallel()
	tests := map[string]onebottest.Answer{
		"no answer": {Silence: true}, "too late": {After: 6 * time.Second}, "hang-up": {HangUp: true},
	}
	for name, how := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := dialled(t, onebottest.Options{}, true)
				r.fake.Answers(func(a onebottest.Action) onebottest.Answer {
					if a.Name == "get_status" {
						return onebottest.Answer{}
					}
					return how
				})
				_, err := r.send("hello")
				wantReason(t, err, outbound.Uncertain, "")
				r.fake.Answers(func(onebottest.Action) onebottest.Answer { return onebottest.Answer{} })
				pass(5 * time.Second)
				r.mustSend("again")
				if n := len(r.fake.Actions()); n != 2 {
					t.Errorf("calls: got %d, want one a send", n)
				}
			})
		})
	}
}

// TestAnUnansweredSendBringsAProbe: the next one does not go on a connection that is dead.
func TestAnUnansweredSendBringsAProbe(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := dialled(t, onebottest.Options{Heartbeat: time.Minute}, true)
		r.fake.Silence(true)
		_, err := r.send("hello")
		wantReason(t, err, outbound.Uncertain, "")
		pass(10 * time.Second)
		r.mustSend("again")
	})
}

// TestReadyIsAskedLast: after its error nothing leaves.
func TestReadyIsAskedLast(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, running := range []bool{true, false} {
			r := dialled(t, onebottest.Options{}, running)
			_, err := r.Send(t.Context(), outbound.Message{
				To: "group:810712345", Text: "hello", Ready: func() error { return errors.New("not ours any more") },
			})
			wantReason(t, err, outbound.NotSent, "")
			if got := r.fake.Actions(); len(got) != 0 {
				t.Errorf("running %v: got %d calls, want none", running, len(got))
			}
		}
	})
}

// TestARelayThatIsNotTheResident sends on a connection for the one call, and takes no events by it.
func TestARelayThatIsNotTheResident(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := dialled(t, onebottest.Options{Own: true, Everywhere: true}, false)
		if got := r.mustSend("hello"); got.ID == "" {
			t.Error("got no id")
		}
		synctest.Wait()
		if now, ever := r.fake.Connections(); now != 0 || ever != 1 {
			t.Errorf("connections: got %d of %d, want one that is closed", now, ever)
		}
		if got := r.fake.Actions(); len(got) != 1 || got[0].Path != "/api/" {
			t.Errorf("got %+v, want one call at /api", got)
		}
		wantTexts(t, "events", r.taken())
		r.net.cut(true)
		_, err := r.send("hello")
		wantReason(t, err, outbound.NotSent, "")
	})
}

// TestAWrongToken is told by a frame on a connection that was taken, and raises the alarm.
func TestAWrongToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := dialled(t, onebottest.Options{Token: "right-token"}, true)
		pass(time.Second)
		if !r.alarm("token") {
			t.Error("got no alarm of the connection")
		}
		r.stop()
		r.Clear("token")
		_, err := r.send("hello")
		words := wantReason(t, err, outbound.Rejected, "1403")
		if strings.Contains(words, "qq.example") || !r.alarm("token") {
			t.Errorf("got %v, alarm %v; want an alarm, and no address", words, r.alarm("token"))
		}
		w, world := wire(t)
		w.Sockets = r.net.client()
		right := open(t, onebot.Config{URL: "ws://qq.example:3001", Token: secret.New("right-token")}, w)
		if ok, err := right.(outbound.Checker).Online(t.Context()); !ok || err != nil || world.alarm("token") {
			t.Errorf("online: got %v, %v; want true", ok, err)
		}
	})
}

// TestHostileFrames: what is none of OneBot's is no event, and no sign of life either.
func TestHostileFrames(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := dialled(t, onebottest.Options{}, true)
		deep := `{"post_type":"message","a":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`
		for _, frame := range []string{
			"", "not JSON", "[]", "{}", "null", `"x"`, deep, `{"echo":"r999","status":"ok","retcode":0}`, `{"echo":{"a":1}}`,
		} {
			r.fake.Push(frame)
		}
		r.fake.Push(event(0))
		synctest.Wait()
		wantTexts(t, "events", r.taken(), event(0))
		r.fake.Push(`{"post_type":"message","raw_message":"` + strings.Repeat("x", 5<<20) + `"}`)
		pass(2 * time.Second)
		if _, ever := r.fake.Connections(); ever != 2 {
			t.Errorf("connections: got %d, want a new one after a frame that is too large", ever)
		}
		wantTexts(t, "events", r.taken(), event(0))
	})
}
