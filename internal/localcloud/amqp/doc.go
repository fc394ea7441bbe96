// Package amqp is the server's side of AMQP 1.0: the wire format, connections,
// sessions, links and transfers, with SASL in front and request-and-answer nodes
// ($cbs, $management) as messaging services have them.
//
// It promises to hold a client to the protocol (handles, credit, windows, frame
// sizes), to carry messages byte by byte as they came, and to stop with its
// listener. It must know nothing of any cloud: who may sign in, what an address
// names and what becomes of a message is decided by the Peer it is given.
package amqp
