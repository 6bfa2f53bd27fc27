// Package store keeps the cloud's state: typed tables in memory, made durable in
// an embedded (or external) etcd. One member leads and is the only writer: a
// transaction is a Go function over the state, run one after another in memory
// and made durable in batches. See DESIGN.md for the promises and how they hold.
//
// Imported by cloud and the controllers; never by a face.
package store
