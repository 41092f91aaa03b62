package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"evenkeel/acceptance/checkout"
)

// pollMemory is the interval at which processes are read. The system keeps the peak, so only a peak in a process's last
// interval is missed.
const pollMemory = 10 * time.Millisecond

// errNoPeak is returned on other systems than Linux, which do not report the peak memory of another process.
var errNoPeak = errors.New("this system does not report the peak memory of a process")

// watchMemory runs up and returns the peaks of the emulator and of the provider process that up starts. It returns none
// on systems other than Linux.
func watchMemory(folder string, up func() error) ([]Memory, error) {
	providerPeak, err := watchProvider(folder, up)
	if err != nil {
		return nil, err
	}
	emulator, err := emulatorPeak(folder)
	if errors.Is(err, errNoPeak) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if providerPeak == 0 {
		return nil, fmt.Errorf("no process %s was seen during up", providerName)
	}
	return []Memory{{"emulator, with the local azure-native plugin", emulator}, {providerName, providerPeak}}, nil
}

// providerName is the name of the provider's executable.
const providerName = "pulumi-resource-azure-dps"

// watchProvider returns the peak in MiB of the checkout's provider processes while run runs; 0 where the system does
// not report it.
func watchProvider(folder string, run func() error) (float64, error) {
	ended, peak := make(chan struct{}), make(chan float64)
	go func() { peak <- peakOf(built(folder, providerName), ended) }()
	err := run()
	close(ended)
	return <-peak, err
}

// peakOf watches processes of an executable until ended is closed, and returns the largest peak in MiB.
func peakOf(executable string, ended <-chan struct{}) float64 {
	var largest float64
	ticker := time.NewTicker(pollMemory)
	defer ticker.Stop()
	for {
		links, _ := filepath.Glob("/proc/[0-9]*/exe")
		for _, link := range links {
			if target, err := os.Readlink(link); err != nil || target != executable {
				continue
			}
			if mib, err := peak(filepath.Dir(link)); err == nil {
				largest = max(largest, mib)
			}
		}
		select {
		case <-ended:
			return largest
		case <-ticker.C:
		}
	}
}

// emulatorPeak returns the peak of the checkout's emulator so far, in MiB.
func emulatorPeak(folder string) (float64, error) {
	status, err := checkout.EmulatorStatus(folder)
	if err != nil {
		return 0, err
	}
	return peak("/proc/" + strconv.Itoa(status.PID))
}

// peak reads the peak of resident memory, in MiB, of a folder of /proc.
func peak(process string) (float64, error) { return memoryOf(process, "VmHWM:") }

// memoryOf reads one line of a process's status in MiB.
func memoryOf(process, line string) (float64, error) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		return 0, errNoPeak
	}
	text, err := os.ReadFile(filepath.Join(process, "status"))
	if err != nil {
		return 0, err
	}
	for one := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(one, line); ok {
			kib, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 64)
			return kib / 1024, err
		}
	}
	return 0, errNoPeak
}
