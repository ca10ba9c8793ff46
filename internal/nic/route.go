package nic

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"strconv"
	"strings"
)

// DefaultRoute returns the name of the interface that has the default route of
// the main table: that of IPv4, or where there is none that of IPv6. Of several
// it is the one the kernel prefers. It is "" where there is none.
func DefaultRoute() (string, error) {
	v4, err4 := os.ReadFile("/proc/net/route")
	if name := defaultIPv4(v4); name != "" {
		return name, nil
	}
	v6, err6 := os.ReadFile("/proc/net/ipv6_route")
	if name := defaultIPv6(v6); name != "" {
		return name, nil
	}
	if errors.Is(err6, os.ErrNotExist) {
		err6 = nil // a kernel without IPv6
	}
	return "", errors.Join(err4, err6)
}

// Flags of a route (linux/route.h).
const (
	routeUp     = 0x1
	routeReject = 0x200
)

// defaultIPv4 reads /proc/net/route: interface, destination, gateway, flags,
// references, uses, metric, mask and more; addresses and flags in hexadecimal.
func defaultIPv4(table []byte) string {
	return least(table, func(f []string) (name, metric string, base int, ok bool) {
		if len(f) < 8 || f[1] != "00000000" || f[7] != "00000000" || !usable(f[3]) {
			return "", "", 0, false
		}
		return f[0], f[6], 10, true
	})
}

// defaultIPv6 reads /proc/net/ipv6_route: destination and its prefix length,
// source and its prefix length, next hop, metric, references, uses, flags,
// interface; all figures in hexadecimal.
func defaultIPv6(table []byte) string {
	return least(table, func(f []string) (name, metric string, base int, ok bool) {
		if len(f) < 10 || strings.Trim(f[0], "0") != "" || f[1] != "00" || f[3] != "00" || !usable(f[8]) {
			return "", "", 0, false
		}
		return f[9], f[5], 16, true
	})
}

func usable(flags string) bool {
	n, err := strconv.ParseUint(flags, 16, 32)
	return err == nil && n&(routeUp|routeReject) == routeUp
}

// least returns the name of the default route with the lowest metric, the first
// of equal ones. parse says which lines are default routes.
func least(table []byte, parse func(fields []string) (name, metric string, base int, ok bool)) string {
	best, lowest := "", uint64(0)
	lines := bufio.NewScanner(bytes.NewReader(table))
	for lines.Scan() {
		name, metric, base, ok := parse(strings.Fields(lines.Text()))
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(metric, base, 32)
		if err == nil && (best == "" || n < lowest) {
			best, lowest = name, n
		}
	}
	return best
}
