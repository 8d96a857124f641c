// Package httpapi is the relay's HTTP edge: IM servers post to it, agents send through it, operators look into it. It
// authenticates, bounds and parses requests, calls the interfaces that it declares, and writes their answers and every
// error in the one shape of the API.
//
// It decides nothing about messages and opens no listener: accepting, sending, storing and serving are its callers'
// and callees' business. It names no store and no IM.
//
//   - [New] makes the [Server] of its [Options]; [Server.Configure] prepares an [http.Server] for it.
//   - [Ceiling] bounds the connections of a listener that it is served on.
//   - [Server.Reload] swaps the [Table] of accounts, clients and tokens without dropping a request.
//   - [Server.Stopping] turns new work away with 503 while probes are still answered.
//   - [Client] speaks the admin API and gives its errors back as the server raised them.
//
// # Order of checks
//
// An inbound post is checked in this order, and the first that fails is the answer: method (405), stopping (503),
// account (404 for an unknown name, 400 im_ambiguous where none is named and there are several), source network (403),
// token (401), size and pace of the body (413, 408), signature (401), empty body (400); then the [Acceptor] has it.
// A send: method, stopping, token (401), content type (415), size (413), shape (400); then the [Sender] has it.
package httpapi
