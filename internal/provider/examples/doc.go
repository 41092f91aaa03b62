// Package examples holds an example for each resource and function of azure-dps, one a file. The schema shows them,
// and the compiler checks them.
//
// They never run: their names, keys and addresses are invented.
package examples
