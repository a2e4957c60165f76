package compatibility

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

var quotedName = regexp.MustCompile("`([^`]+)`")

// TestDifferencesAreHeld checks that each difference in docs/migrating.md names a
// vector or a test that exists.
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
		t.Fatal("the guide has no differences")
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
			t.Errorf("no test is named for %q", cells[0])
		}
		for _, name := range names {
			if !held[name[1]] {
				t.Errorf("the test of %q is %s, which does not exist", cells[0], name[1])
			}
		}
	}

	if rows < 20 {
		t.Errorf("%d differences were read", rows)
	}
}
