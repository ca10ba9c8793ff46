package cbpf

import (
	"testing"

	"golang.org/x/net/bpf"
)

// A program that is 300 instructions long has jumps that conditional ones do not
// reach.
func TestResolveReachesFar(t *testing.T) {
	var a Assembler
	a.Emit(bpf.LoadAbsolute{Off: 0, Size: 1})
	a.JumpIf(bpf.JumpEqual, 7, "take")
	for range 300 {
		a.Emit(bpf.LoadConstant{Dst: bpf.RegX, Val: 1})
	}
	a.Emit(bpf.RetConstant{Val: 0})
	a.Label("take")
	a.Emit(bpf.RetConstant{Val: 9})
	program, err := a.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	vm, err := bpf.NewVM(program)
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[byte]int{6: 0, 7: 9, 8: 0} {
		if got, err := vm.Run([]byte{in}); err != nil || got != want {
			t.Errorf("%d: %d, %v; want %d", in, got, err, want)
		}
	}
	if _, err := ForKernel(program); err != nil {
		t.Error(err)
	}
}

func TestResolveRefusesWhatIsNotAhead(t *testing.T) {
	var absent, behind Assembler
	absent.Jump("nowhere")
	behind.Label("here")
	behind.Jump("here")
	for _, a := range []*Assembler{&absent, &behind} {
		if _, err := a.Resolve(); err == nil {
			t.Error("resolved")
		}
	}
	if a, b := absent.Unique("x"), absent.Unique("x"); a == b {
		t.Errorf("%s twice", a)
	}
}
