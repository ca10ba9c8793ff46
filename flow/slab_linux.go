package flow

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// advise asks for large pages: with small ones most accesses to a slab of many
// flows would wait for the page tables too. It is a hint, and a refusal changes
// nothing but the speed.
func advise[T any](slab []T) {
	const page = 4096
	p := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(slab))), uintptr(len(slab))*unsafe.Sizeof(slab[0]))
	if skip := -uintptr(unsafe.Pointer(unsafe.SliceData(p))) % page; int(skip)+page <= len(p) {
		p = p[skip:]
		_ = unix.Madvise(p[:len(p)&^(page-1)], unix.MADV_HUGEPAGE)
	}
}
