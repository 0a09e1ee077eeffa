package main

// The names of time zones travel with the binary: giving days have one, and the
// machine or image that runs us may have none.
import _ "time/tzdata"
