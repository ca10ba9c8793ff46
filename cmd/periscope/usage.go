package main

// A usageError is an error of whoever called: exit status 2.
type usageError struct{ error }
