package panics

import (
	"errors"
	"strings"
	"testing"
)

func TestTry(t *testing.T) {
	if n, err := Try(func() (int, error) { return 1, nil }); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	failed := errors.New("failed")
	if _, err := Try(func() (int, error) { return 0, failed }); !errors.Is(err, failed) {
		t.Error(err)
	}

	var nothing *struct{ a int }
	for value, want := range map[string]string{
		"nil":  "invalid memory address or nil pointer dereference at panics/panics_test.go:",
		"text": "a panic with a string at panics/panics_test.go:",
	} {
		_, err := Try(func() (int, error) {
			if value == "nil" {
				return nothing.a, nil
			}
			panic("password: s3cret")
		})
		var panicked *Error
		if !errors.As(err, &panicked) {
			t.Fatalf("%s: %v", value, err)
		}
		if !strings.Contains(err.Error(), want) || !strings.Contains(panicked.Stack, "TestTry") ||
			strings.Contains(err.Error()+panicked.Stack, "s3cret") {
			t.Errorf("%s: %v\n%s", value, err, panicked.Stack)
		}
	}
}
