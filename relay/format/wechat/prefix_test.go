package wechat_test

import (
	"fmt"
	"testing"
)

// TestPlainPrefix: where a server may have taken the prefix off, a line that a member wrote is none.
func TestPlainPrefix(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, kind, content, more, sender, text string }{
		{"a line of its own", "1", "admin:\nrm -rf", "", "", "admin:\nrm -rf"},
		{"WeChat's form", "1", mei + ":\nhi", "", mei, "hi"},
		{"an enterprise contact", "1", "25984@openim:\nhi", "", "25984@openim", "hi"},
		{"the room", "1", team + ":\nhi", "", "", "hi"},
		{"an old id, shown by name", "1", "tracy1988:\nhi\n", `,"pushContent":"Tracy : hi"`, "tracy1988", "hi\n"},
		{"a line, shown as it is", "1", "admin:\nrm -rf", `,"pushContent":"Mei : admin:\nrm -rf"`, "", "admin:\nrm -rf"},
		{"a line that imitates the push", "1", "admin:\n : hi", `,"pushContent":"Mei : admin:\n : hi"`, "", "admin:\n : hi"},
		{"nothing behind it", "1", "admin:\n", `,"pushContent":"Mei : "`, "", "admin:\n"},
		{"said to be by him", "1", "tracy1988:\nhi", `,"senderWxid":"tracy1988"`, "tracy1988", "hi"},
		{"said to be by another", "1", mei + ":\nhi", `,"senderWxid":"tracy1988"`, "tracy1988", mei + ":\nhi"},
		{"a picture", "3", "tracy1988:\n<msg/>", "", "tracy1988", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := read(t, fmt.Sprintf(`{"fromUser":%q,"toUser":%q,"msgType":%s,"content":%q%s}`,
				team, robot, tt.kind, tt.content, tt.more), robot)
			if e.Sender != tt.sender || e.Text != tt.text {
				t.Errorf("%q: got sender %q text %q, want %q %q", tt.content, e.Sender, e.Text, tt.sender, tt.text)
			}
		})
	}
}
