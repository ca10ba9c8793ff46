package config

// Reloadable is the table of keys that a reload takes over.
var Reloadable = reloadable
