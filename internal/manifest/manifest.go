// Package manifest reads and sets images in the files of a repository: bytes
// in, bytes out. Each format is a file here. Package yamledit makes the edits,
// so that an edit changes only the bytes of the values that must change, and
// is an error where it would change anything else.
package manifest
