//go:build race

package capture

const poison = true
