package onebot_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector/onebot/onebottest"
	"github.com/imrelay/imrelay/relay"
)

// ways are the two in which a connection comes about.
var ways = map[string]func(t *testing.T) *rig{
	"dialled": func(t *testing.T) *rig { return dialled(t, onebottest.Options{}, true) },
	"hosted": func(t *testing.T) *rig {
		r := hosted(t, onebottest.Options{})
		r.connect("Universal")
		return r
	},
}

func later(d time.Duration) func(onebottest.Action) onebottest.Answer {
	return func(onebottest.Action) onebottest.Answer { return onebottest.Answer{After: d} }
}

// TestCallsOutliveTheEnd: what was written when the run ends is still answered, and the connection stays for that.
func TestCallsOutliveTheEnd(t *testing.T) {
	t.Parallel()
	for name, start := range ways {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := start(t)
				r.fake.Answers(later(4 * time.Second))
				got := make(chan error, 1)
				go func() {
					_, err := r.send("hello")
					got <- err
				}()
				pass(time.Second)
				began := time.Now()
				r.stop()
				if took := time.Since(began); took != 3*time.Second {
					t.Errorf("stopped after %v, want it when the call was answered", took)
				}
				if err := <-got; err != nil {
					t.Errorf("send: got %v, want it sent", err)
				}
				synctest.Wait()
				if now, _ := r.fake.Connections(); now != 0 {
					t.Errorf("connections after the end: got %d, want none", now)
				}
			})
		})
	}
}

// TestTheEndIsBounded by the time of a call, and takes no new ones where the IM is the one to connect.
func TestTheEndIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := hosted(t, onebottest.Options{Deaf: 4900 * time.Millisecond})
		r.connect("Universal")
		pass(5 * time.Second)
		r.fake.Answers(func(onebottest.Action) onebottest.Answer { return onebottest.Answer{Silence: true} })
		got := make(chan error, 2)
		for range 2 { // the second takes nearly as long to be written as the first to be answered
			go func() {
				_, err := r.send("hello")
				got <- err
			}()
			pass(900 * time.Millisecond)
		}
		ended := make(chan time.Duration)
		go func() {
			began := time.Now()
			r.stop()
			ended <- time.Since(began)
		}()
		pass(time.Second)
		_, err := r.send("again")
		wantReason(t, err, outbound.NotSent, "not_connected")
		if took := <-ended; took < 4*time.Second || took > 6*time.Second {
			t.Errorf("stopped after %v, want it after five seconds and the goodbye", took)
		}
		for range 2 {
			wantReason(t, <-got, outbound.Uncertain, "")
		}
	})
}

// TestEventsOutliveTheEnd: those that wait have ten seconds more, and what is lost then is counted.
func TestEventsOutliveTheEnd(t *testing.T) {
	t.Parallel()
	for name, start := range ways {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := start(t)
				r.refuse(errStore)
				for i := range 20 {
					r.fake.Push(event(i))
				}
				synctest.Wait()
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					r.stop()
				}()
				pass(4 * time.Second)
				r.refuse(nil)
				<-ended
				wantTexts(t, "events", r.taken(), eventsTo(20)...)

				r = start(t)
				r.refuse(errStore)
				for i := range 20 {
					r.fake.Push(event(i))
				}
				synctest.Wait()
				r.stop()
				lost := r.logs.FilterMessage("events lost at the end").All()
				// Beside the 20 events that is the one which began the connection.
				if len(lost) != 1 || lost[0].ContextMap()["events"] != int64(20) && lost[0].ContextMap()["events"] != int64(21) {
					t.Errorf("got lines %v, want one with the count", lost)
				}
			})
		})
	}
}

// TestAnOutageOfTheStore loses nothing that there is room for, however long it lasts.
func TestAnOutageOfTheStore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := dialled(t, onebottest.Options{}, true)
		r.refuse(fmt.Errorf("take: %w", &relay.Refusal{Code: relay.CodeStoreUnavailable}))
		for i := range 20 {
			r.fake.Push(event(i))
		}
		pass(3 * time.Hour)
		r.refuse(nil)
		pass(10 * time.Second)
		wantTexts(t, "events", r.taken(), eventsTo(20)...)
		r.refuse(&relay.Refusal{Code: relay.CodeAccountUnknown})
		r.fake.Push(event(20))
		pass(11 * time.Minute)
		if n := r.logs.FilterMessage("event lost").Len(); n != 1 {
			t.Errorf("lines about an event that is refused for another reason: got %d, want 1", n)
		}
	})
}

const badToken = `{"status":"failed","retcode":1403,"data":null,"message":"token","echo":null}`

// TestALateWordAboutTheToken is none about a call that was written: its own answer tells.
func TestALateWordAboutTheToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := dialled(t, onebottest.Options{}, true)
		for _, how := range []onebottest.Answer{{After: time.Second}, {Silence: true}} {
			r.fake.Answers(func(a onebottest.Action) onebottest.Answer {
				if a.Name == "get_status" {
					return onebottest.Answer{}
				}
				return how
			})
			time.AfterFunc(500*time.Millisecond, func() { r.fake.Push(badToken) })
			_, err := r.send("hello")
			if how.Silence {
				wantReason(t, err, outbound.Uncertain, "")
			} else if err != nil {
				t.Errorf("send: got %v, want it sent", err)
			}
		}
		if r.alarm("token") {
			t.Error("got the token's alarm, want none")
		}
	})
}

// TestNoticesComeOnce where two connections bring them, from the newest that works; messages have ids and come as they do.
func TestNoticesComeOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const poke = `{"post_type":"notice","notice_type":"notify","sub_type":"poke","user_id":1,"time":1}`
		r := hosted(t, onebottest.Options{Heartbeat: 5 * time.Second})
		push := func(want ...string) {
			t.Helper()
			before := len(r.taken())
			r.fake.Push(poke)
			pass(time.Second)
			wantTexts(t, "events", r.taken()[before:], want...)
		}
		r.connect("Universal")
		push(poke)
		r.connect("Event")
		push(poke)
		pass(time.Hour)
		push(poke)
		r.fake.Push(event(0))
		pass(time.Second)
		if got := r.taken(); got[len(got)-1] != event(0) {
			t.Errorf("got %q last, want the message", got[len(got)-1])
		}
		r.fake.Silence(true)
		r.connect("Universal") // the others are silent, and not yet found out
		push(poke)
		r.fake.Drop()
		synctest.Wait()
		r.connect("Event")
		push(poke)
	})
}

// TestADoubtedConnectionBringsNoNotices beside its successor.
func TestADoubtedConnectionBringsNoNotices(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const poke = `{"post_type":"notice","notice_type":"notify","sub_type":"poke","user_id":1,"time":1}`
		r := dialled(t, onebottest.Options{}, true)
		r.fake.Answers(later(4 * time.Second))
		go func() { _, _ = r.send("hello") }()
		synctest.Wait()
		r.fake.Silence(true)
		r.net.cut(true)
		pass(5 * time.Minute)
		r.fake.Silence(false)
		r.fake.Push(poke)
		synctest.Wait()
		wantTexts(t, "from the doubted one alone", r.taken(), poke)
		r.net.cut(false)
		pass(20 * time.Second)
		r.fake.Push(poke)
		synctest.Wait()
		wantTexts(t, "with its successor", r.taken(), poke, poke)
	})
}

// TestASendShowsTheWay: when a connection for a call can be made, the one for events is not waited for longer.
func TestASendShowsTheWay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := dialled(t, onebottest.Options{}, true)
		r.net.cut(true)
		r.fake.Drop()
		pass(10 * time.Minute)
		for tries := range 12 { // it is not to be met by chance
			r.net.cut(false)
			r.mustSend(fmt.Sprint("no. ", tries))
			pass(1500 * time.Millisecond)
			if now, _ := r.fake.Connections(); now != 1 {
				t.Fatalf("connections 1.5 s after a send that went: got %d, want one", now)
			}
			r.net.cut(true)
			r.fake.Drop()
			pass(5 * time.Minute)
		}
	})
}

// TestAConnectionForOneCallIsHungUp: whoever is slow to say goodbye holds no send up.
func TestAConnectionForOneCallIsHungUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := dialled(t, onebottest.Options{Deaf: time.Minute}, false)
		began := time.Now()
		r.mustSend("hello")
		if took := time.Since(began); took != 0 {
			t.Errorf("got %v, want no time spent on the closing", took)
		}
	})
}
