package flow

import (
	"testing"
	"unsafe"
)

// What the budget of 192 bytes a flow is made of.
func TestSizes(t *testing.T) {
	for what, size := range map[string][2]uintptr{
		"entry":  {unsafe.Sizeof(entry{}), 168},
		"head":   {unsafe.Sizeof(head{}), 72},
		"side":   {unsafe.Sizeof(side{}), 48},
		"bucket": {unsafe.Sizeof(bucket{}), 64},
		"gap":    {unsafe.Sizeof(gap{}), 16},
		"copies": {unsafe.Sizeof(copySet{}), 64},
	} {
		if size[0] != size[1] {
			t.Errorf("%s takes %d bytes, want %d", what, size[0], size[1])
		}
	}
}
