package main

import "io/fs"

// isMine reports true: file modes say nothing of owners on Windows.
func isMine(fs.FileInfo) bool { return true }
