package demo

// For the tests from outside.
var (
	InOrder = func(got, want []string) bool {
		var a []arrival
		for _, text := range got {
			a = append(a, arrival{text: text})
		}
		return inOrder(a, messages(want))
	}
	Exactly = func(got [][]byte, signed error, want []string) bool {
		var a []arrival
		for _, body := range got {
			a = append(a, arrival{body: body, signed: signed})
		}
		return exactly(a, messages(want))
	}
	Body = func(text string) []byte { return messages([]string{text})[0].body() }
)

func messages(texts []string) []message {
	var out []message
	for _, text := range texts {
		out = append(out, message{id: 1, from: alice, text: text})
	}
	return out
}
