package outbound

import "time"

// A throttle teaches that a send costs twice as much, up to hardest doublings; one is forgotten each time that so long
// went by without another.
const (
	hardest       = 3
	forgottenIn   = 10 * time.Minute
	lessonsAtMost = 1024
)

// lesson is what throttles have taught of a rate: by how many doublings it is too fast, as of the last one.
type lesson struct {
	doublings int
	at        time.Time
}

func (l lesson) left(now time.Time) int { return max(0, l.doublings-int(now.Sub(l.at)/forgottenIn)) }

// lessons are kept by recipient as the IM counts them, and [whole] is the account's. They are of this process.
type lessons map[string]lesson

// factor is how much more than one a send costs.
func (l lessons) factor(of string, now time.Time) float64 { return float64(int(1) << l[of].left(now)) }

// learn takes note of one more throttle.
func (l lessons) learn(of string, now time.Time) {
	if _, known := l[of]; !known && len(l) >= lessonsAtMost {
		l.makeRoom(now)
	}
	l[of] = lesson{min(hardest, l[of].left(now)+1), now}
}

// makeRoom forgets what is over, and the oldest of what is not; the account's own stays.
func (l lessons) makeRoom(now time.Time) {
	oldest, at := whole, now
	for of, x := range l {
		switch {
		case of == whole:
		case x.left(now) == 0:
			delete(l, of)
		case !x.at.After(at):
			oldest, at = of, x.at
		}
	}
	if len(l) >= lessonsAtMost {
		delete(l, oldest)
	}
}
