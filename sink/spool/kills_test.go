//go:build !soak

package spool

const (
	kills  = 20
	models = 4
)
