package redismemo

// SaveScript is for a test that lets one come late.
var SaveScript = saveScript
