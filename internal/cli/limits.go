package cli

import (
	"math"
	"runtime/debug"
	"time"

	"github.com/liverty-music/image-writeback/internal/engine"
	"github.com/liverty-music/image-writeback/internal/gitwrite"
	"github.com/liverty-music/image-writeback/internal/limit"
	"github.com/liverty-music/image-writeback/internal/registry"
)

// limitOf returns a limit of config.yaml.
func limitOf(most int64, key string) limit.Limit {
	return limit.Limit{Max: most, Raise: "raise limits." + key + " in config.yaml"}
}

// registryLimits are the limits of what registries answer.
func (s *setup) registryLimits() registry.Limits {
	c := s.config.Limits

	return registry.Limits{
		Tags:        limitOf(int64(c.Tags), "tags"),
		TagListSize: limitOf(int64(c.TagListSize), "tagListSize"),
		Memory:      cacheMemory(),
	}
}

// gitLimits are the limits of what git servers send.
func (s *setup) gitLimits() gitwrite.Limits {
	c := s.config.Limits

	return gitwrite.Limits{
		References: limitOf(int64(c.References), "references"),
		PackSize:   limitOf(int64(c.PackSize), "packSize"),
		FileSize:   limitOf(int64(c.FileSize), "fileSize"),
		Memory:     cacheMemory(),
	}
}

// deadline is that of one decision.
func (s *setup) deadline() engine.Deadline {
	return engine.Deadline{
		Time: time.Duration(s.config.Limits.DecisionTime), Raise: "raise limits.decisionTime in config.yaml",
	}
}

// The memory that is assumed for a process without GOMEMLIMIT.
const assumedMemory = 512 << 20

// cacheMemory is how many bytes the registries, and git, may keep between cycles: a
// quarter of the process's memory each.
func cacheMemory() int64 {
	memory := debug.SetMemoryLimit(-1) // only reads it
	if memory == math.MaxInt64 {
		memory = assumedMemory
	}

	return memory / 4
}
