package redismemo

import (
	_ "embed" // the scripts

	"github.com/imrelay/imrelay/relay/store/redisconn"
)

// The scripts, and the part that they share. Each says in its head what it is given and what it returns.
var (
	//go:embed lua/note.lua
	notePart string

	//go:embed lua/load.lua
	loadSource string
	//go:embed lua/save.lua
	saveSource string
	//go:embed lua/notes.lua
	notesSource string
	//go:embed lua/import.lua
	importSource string
)

var (
	loadScript   = redisconn.NewRelief("memo.load", notePart+loadSource)
	saveScript   = redisconn.NewScript("memo.save", notePart+saveSource)
	forgetScript = redisconn.NewRelief("memo.forget", notePart+saveSource)
	notesScript  = redisconn.NewRelief("memo.notes", notePart+notesSource)
	importScript = redisconn.NewScript("memo.import", notePart+importSource)
)
