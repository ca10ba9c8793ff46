//go:build soak

package spool

const (
	kills  = 50
	models = 100
)
