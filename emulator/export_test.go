package emulator

// On lets tests put a handler of their own behind what every surface is wrapped in.
var On = (*Emulator).on
