package app

import "net"

// here is the address that programs on this machine reach data planes from: that of the
// machine's way out, except in a local cloud, which is reached from where everything runs.
func (p place) here() string {
	if ip := net.ParseIP(p.egress); p.egress != "" && (ip == nil || !ip.IsLoopback()) {
		return p.egress
	}
	if isAzure(p.cloud) {
		return ""
	}
	return "127.0.0.1"
}
