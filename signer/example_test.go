package signer_test

import (
	"fmt"
	"net/http"
	"time"

	"github.com/imrelay/imrelay/signer"
)

// A receiver checks a request by the kind that its configuration names.
func ExampleNewVerifier() {
	v, err := signer.NewVerifier("github", "It's a Secret to Everybody")
	if err != nil {
		fmt.Println(err)
		return
	}
	h := http.Header{}
	h.Set("X-Hub-Signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")
	fmt.Println(v.Verify(h, []byte("Hello, World!"), time.Now()))
	fmt.Println(v.Verify(h, []byte("Hello, World?"), time.Now()))
	fmt.Println(v.Verify(http.Header{}, []byte("Hello, World!"), time.Now()))
	// Output:
	// <nil>
	// signature does not match
	// not signed
}

// A sender signs the bytes that it is about to send, in the header that the receiver wants.
func ExampleNewDigest() {
	s, err := signer.NewDigest(signer.HeaderOpenClaw, "new secret", "old secret")
	if err != nil {
		fmt.Println(err)
		return
	}
	h := http.Header{}
	s.Sign(h, "", time.Time{}, []byte(`{"MsgId":1}`))
	fmt.Println(h.Get("X-Wechat-Abot-Signature"))
	// Output: sha256=df23f2466810166d1d7f28bc0b30cfd27283341eeef56969128464bafdfc2795
}

// Standard Webhooks signs the id and the time as well, so that a recorded request soon is worth nothing.
func ExampleNewStandard() {
	s, err := signer.NewStandard(time.Minute, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		fmt.Println(err)
		return
	}
	h, at := http.Header{}, time.Unix(1614265330, 0)
	s.Sign(h, "msg_p5jXN8AQM9LWM0D4loKWxJek", at, []byte(`{"test": 2432232314}`))
	fmt.Println(h.Get("webhook-signature"))
	fmt.Println(s.Verify(h, []byte(`{"test": 2432232314}`), at.Add(2*time.Minute)))
	// Output:
	// v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=
	// signature too old or too new
}
