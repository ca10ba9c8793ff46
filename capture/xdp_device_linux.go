package capture

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ReceiveQueues returns how many receive queues an interface has, for each of
// which XDP has a socket. Drivers that do not tell count as having one, as do
// interfaces that are not there: what comes by others passes. It needs no right,
// and any goroutine may call it.
func ReceiveQueues(name string) int {
	// struct ethtool_channels: the command, then receive, transmit, other and
	// combined channels, at most and now.
	channels := [9]uint32{unix.ETHTOOL_GCHANNELS}
	request := struct {
		name [unix.IFNAMSIZ]byte
		data *[9]uint32
		_    [16]byte
	}{data: &channels}
	copy(request.name[:unix.IFNAMSIZ-1], name)
	if deviceRequest(unix.SIOCETHTOOL, unsafe.Pointer(&request)) != nil {
		return 1
	}
	return max(int(channels[5]+channels[8]), 1)
}

// hardwareAddr returns the address of the interface. It refuses one whose
// packets do not begin with an Ethernet header.
func hardwareAddr(name string) (mac [6]byte, err error) {
	var request struct {
		name [unix.IFNAMSIZ]byte
		kind uint16
		mac  [6]byte
		_    [16]byte
	}
	copy(request.name[:], name)
	if err := deviceRequest(unix.SIOCGIFHWADDR, unsafe.Pointer(&request)); err != nil {
		return mac, err
	}
	if request.kind != unix.ARPHRD_ETHER && request.kind != unix.ARPHRD_LOOPBACK {
		return mac, errors.New("not an Ethernet interface: use the UDP sockets")
	}
	return request.mac, nil
}

// deviceRequest asks about an interface: request is a struct ifreq (netdevice(7)).
func deviceRequest(what uint, request unsafe.Pointer) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(what), uintptr(request)); errno != 0 {
		return errno
	}
	return nil
}
