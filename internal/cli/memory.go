package cli

import (
	"os"
	"runtime/debug"
	"strconv"
)

// memoryEnv has the memory that the container may use, in bytes: Kubernetes knows it,
// and the chart passes it on.
const memoryEnv = "MEMORY_LIMIT"

// limitMemory makes the garbage collector work harder before the container's limit is
// reached, at which the kernel would kill the process. Go's own setting, GOMEMLIMIT,
// takes precedence.
func limitMemory() {
	if limit, ok := memoryLimit(os.Getenv("GOMEMLIMIT"), os.Getenv(memoryEnv)); ok {
		debug.SetMemoryLimit(limit)
	}
}

// memoryLimit returns what of the container's memory Go may use: nine tenths, since
// some memory is not Go's. It reports false if that is not known, or set already.
func memoryLimit(goLimit, container string) (int64, bool) {
	bytes, err := strconv.ParseInt(container, 10, 64)
	if goLimit != "" || err != nil || bytes <= 0 {
		return 0, false
	}

	return bytes / 10 * 9, true
}
