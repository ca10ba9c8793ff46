// Package nic says what the kernel knows of network interfaces: which one has
// the default route, which VLANs stand on one, whether one is there, and how much
// it has lost.
//
// It reads /proc/net, /sys/class/net, the ioctls of netdevice(7) and the ethtool
// interface of the driver, none of which needs a right, and changes nothing. It
// holds a few kilobytes for each interface that is looked at.
package nic
