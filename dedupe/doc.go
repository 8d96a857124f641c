// Package dedupe says what a send ledger is: the memory that makes one idempotency key one call to the IM, through
// crashes, and that tells "sent" from "failed" and from "nobody can know". It sends nothing itself, and what a record
// or a payload means is its caller's business.
//
// # States of a row
//
//	           Claim                 Start                     Finish(Done)
//	(no row) ────────▶ Claimed ─────────────────▶ Started ──────────────────▶ Done
//	   ▲                │  ▲  ▲        Note         │  │                        │
//	   │  Release, or   │  │  └─────────────────────┘  │ Finish(Unknown), or    │ window over
//	   │  the lease     │  │                           │ the lease lapses       ▼
//	   └────────────────┘  │ Claim                     ▼                     (no row)
//	                       ├──────────────────────── Unknown  (only with Claim.Resend)
//	                       ├──────────────────────── Failed   (Finish(Failed): a queued send was refused for good)
//	                       └──────────────────────── Waiting  (Claim.Payload: a queued send; taken with Take)
//
// A row that is Started when its holder is lost becomes Unknown, never free: the request may have reached the IM. A
// Claimed row whose holder is lost becomes what it was before: free, or Waiting if it has a payload, or Unknown if the
// claim was a resend. After Note, or a Release with a record, it is free to be claimed by the same content only, and the
// next claim goes on from the record; Find calls such a row Failed.
//
// A holder who cannot store an outcome keeps trying, and gives up with Abandon: that is as if it had been lost.
//
// A store that only one process can open makes Unknown of every Started row, and frees every Claimed one, when it
// opens.
package dedupe
