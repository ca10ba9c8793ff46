package nic

import "golang.org/x/sys/unix"

// Index returns the number that the kernel gave an interface, which no later one
// gets, or 0 where there is none of the name.
func Index(name string) int {
	request, err := unix.NewIfreq(name)
	if err != nil {
		return 0 // longer than any
	}
	if ask(unix.SIOCGIFINDEX, request) != nil {
		return 0
	}
	return int(request.Uint32())
}

// Present reports whether the interface of an index is there still, under
// whatever name.
func Present(index int) bool {
	var request unix.Ifreq
	request.SetUint32(uint32(index))
	return ask(unix.SIOCGIFNAME, &request) == nil
}

// ask asks about an interface (netdevice(7)).
func ask(what uint, request *unix.Ifreq) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.IoctlIfreq(fd, what, request)
}
