package dpsservice

import "testing"

// TestPanicInABulkEntryFailsTheRequest: the panic is raised where it is recovered; in its own goroutine it would end
// the process.
func TestPanicInABulkEntryFailsTheRequest(t *testing.T) {
	t.Parallel()
	done := make(chan int, 3)
	defer func() {
		if fault := recover(); fault != "the sky is falling" || len(done) != 2 {
			t.Errorf("got panic %v after %d others, want that of the entry, after both", fault, len(done))
		}
	}()
	atOnce([]int{1, 2, 3}, func(i int) error {
		if i == 2 {
			panic("the sky is falling")
		}
		done <- i
		return nil
	})
}
