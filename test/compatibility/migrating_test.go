package compatibility

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

var quotedName = regexp.MustCompile("`([^`]+)`")

// TestDifferencesAreHeld holds that each difference which docs/migrating.md
// tells of names a vector or a test that is there.
func TestDifferencesAreHeld(t *testing.T) {
	data, err := os.ReadFile("../../docs/migrating.md")
	if err != nil {
		t.Fatal(err)
	}

	guide := string(data)
	held := map[string]bool{}
	for _, vectors := range readVectors(t) {
		for _, v := range vectors {
			held[v.topic+"/"+v.Name] = true
		}
	}

	out, err := exec.Command("grep", "-rhoE", "^func Test[A-Za-z]+", "../..", "--include=*_test.go").Output()
	if err != nil {
		t.Fatal(err)
	}

	for line := range strings.Lines(string(out)) {
		held[strings.TrimSpace(strings.TrimPrefix(line, "func "))] = true
	}

	_, table, found := strings.Cut(guide, "## Differences on purpose")
	if !found {
		t.Fatal("the guide tells of no differences")
	}

	rows := 0
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if len(cells) != 4 || strings.Contains(cells[0], "---") || strings.TrimSpace(cells[0]) == "difference" {
			continue
		}
		rows++
		names := quotedName.FindAllStringSubmatch(cells[3], -1)
		if len(names) == 0 {
			t.Errorf("nothing holds %q", cells[0])
		}
		for _, name := range names {
			if !held[name[1]] {
				t.Errorf("%q is held by %s, which is not there", cells[0], name[1])
			}
		}
	}

	if rows < 20 {
		t.Errorf("%d differences were read", rows)
	}
}
