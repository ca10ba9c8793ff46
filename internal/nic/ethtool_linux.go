package nic

import (
	"bytes"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A stat is a figure that a driver keeps.
type stat struct {
	name  string
	value uint64
}

// From linux/ethtool.h.
const (
	ethtoolStrings = 0x1b // ETHTOOL_GSTRINGS
	ethtoolValues  = 0x1d // ETHTOOL_GSTATS
	statNames      = 1    // ETH_SS_STATS
	statNameLen    = 32   // ETH_GSTRING_LEN
)

// maxStats bounds what is read: a hundred figures for each of 128 queues.
const maxStats = 1 << 14

// ethtoolStats returns the figures of an interface's driver (ETHTOOL_GSTRINGS
// and ETHTOOL_GSTATS of SIOCETHTOOL), or none where it has none. The names are
// read each time, since they change with the number of queues.
func ethtoolStats(name string) []stat {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	driver, err := unix.IoctlGetEthtoolDrvinfo(fd, name)
	if err != nil || driver.N_stats == 0 || driver.N_stats > maxStats {
		return nil
	}
	n := int(driver.N_stats)

	// The kernel writes as many as there are by then, whatever was asked for,
	// and more queues may have come: there is room for as many again.
	room := 2*n + 64
	names := make([]byte, 12+room*statNameLen) // u32 command, set, number
	values := make([]uint64, 1+room)           // u32 command, number
	putHeader(unsafe.Pointer(&names[0]), ethtoolStrings, statNames)
	putHeader(unsafe.Pointer(&values[0]), ethtoolValues, uint32(n))
	if !ethtool(fd, name, unsafe.Pointer(&names[0])) || !ethtool(fd, name, unsafe.Pointer(&values[0])) {
		return nil
	}
	if *(*uint32)(unsafe.Pointer(&names[8])) != uint32(n) || (*[2]uint32)(unsafe.Pointer(&values[0]))[1] != uint32(n) {
		return nil // they changed meanwhile: names and values may not be of one another
	}
	stats := make([]stat, n)
	for i := range stats {
		text, _, _ := bytes.Cut(names[12+i*statNameLen:][:statNameLen], []byte{0})
		stats[i] = stat{string(text), values[1+i]}
	}
	return stats
}

func putHeader(p unsafe.Pointer, command, argument uint32) {
	*(*[2]uint32)(p) = [2]uint32{command, argument}
}

// ethtool hands a command to the driver.
func ethtool(fd int, name string, command unsafe.Pointer) bool {
	request := struct { // struct ifreq
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}{data: command}
	copy(request.name[:unix.IFNAMSIZ-1], name)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
	runtime.KeepAlive(command)
	return errno == 0
}
