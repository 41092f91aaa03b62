// Package examples holds an example for each resource and function of azure-dps, one a file. The schema shows them, so that what it
// shows compiles.
//
// Nothing runs them: names, keys and addresses in them are made up.
package examples
