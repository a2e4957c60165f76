package spec

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"text/template/parse"
)

// BranchTemplateUsage says what a template of git-branch may use.
const BranchTemplateUsage = "a template may use .AppName, .AppNamespace, .TargetKey, .SHA256, range over .Images " +
	"(with .Name, .Alias, .OldTag and .NewTag), if, with, and the functions and, eq, ge, gt, index, le, len, lt, ne, " +
	"not, or, print, printf and slice"

// longestTemplate is how long the text of a template may be. Since loops cannot
// be nested, it bounds the steps that a template takes.
const longestTemplate = 1024

// kind is what a value of a template is.
type kind string

const (
	kindRoot   kind = "the data of the template"
	kindImages kind = "the list of images"
	kindImage  kind = "an image"
	kindText   kind = "text"
	kindNumber kind = "a number"
	kindTruth  kind = "true or false"
)

// branchFields are the fields of a template, by the kind of value that has them.
var branchFields = map[kind]map[string]kind{
	kindRoot: {
		"Images": kindImages, "SHA256": kindText,
		"AppName": kindText, "AppNamespace": kindText, "TargetKey": kindText,
	},
	kindImage: {"Name": kindText, "Alias": kindText, "OldTag": kindText, "NewTag": kindText},
}

// plainFormat is a format of printf whose result is hardly longer than its
// arguments: %q and %x double them, and %[1]s repeats them.
var plainFormat = regexp.MustCompile(`^(?:[^%]|%%|%[-+ 0]?[0-9]{0,2}(?:\.[0-9]{1,2})?[svd])*$`)

// branchRules checks a template: it takes few steps, and makes a text hardly
// longer than its fields, whatever they are.
type branchRules struct {
	dot       kind
	variables map[string]kind
	inRange   bool
}

func checkBranchTemplate(tree *parse.Tree) error {
	rules := branchRules{dot: kindRoot, variables: map[string]kind{"$": kindRoot}}

	return rules.list(tree.Root)
}

// list checks nodes that follow each other; nil for none.
func (r branchRules) list(list *parse.ListNode) error {
	if list == nil {
		return nil
	}

	for _, node := range list.Nodes {
		if err := r.node(node); err != nil {
			return err
		}
	}

	return nil
}

func (r branchRules) node(node parse.Node) error {
	switch n := node.(type) {
	case *parse.TextNode, *parse.CommentNode, *parse.BreakNode, *parse.ContinueNode:
		return nil
	case *parse.ActionNode:
		return r.action(n)
	case *parse.IfNode:
		return r.condition(&n.BranchNode, false)
	case *parse.WithNode:
		return r.condition(&n.BranchNode, true)
	case *parse.RangeNode:
		return r.loop(n)
	}

	return fmt.Errorf("it cannot use %s", node)
}

// action checks {{pipe}}, whose value becomes a part of the name.
func (r branchRules) action(n *parse.ActionNode) error {
	value, err := r.value(n.Pipe)
	if err == nil && (value == kindRoot || value == kindImages || value == kindImage) {
		err = fmt.Errorf("%s is %s, not text; name a field", n.Pipe, value)
	}

	return err
}

// condition checks if and with, which moves the dot.
func (r branchRules) condition(n *parse.BranchNode, movesDot bool) error {
	value, err := r.value(n.Pipe)
	if err != nil {
		return err
	}

	inner := r
	if movesDot {
		inner.dot = value
	}
	if err := inner.list(n.List); err != nil {
		return err
	}

	return r.list(n.ElseList)
}

// loop checks range, which is for .Images alone, and not within another one.
func (r branchRules) loop(n *parse.RangeNode) error {
	if r.inRange {
		return fmt.Errorf("it cannot have a range within a range")
	}
	over, err := r.commands(n.Pipe)
	if err != nil {
		return err
	}
	if over != kindImages {
		return fmt.Errorf("it can range over .Images only, not over %s", over)
	}

	inner := branchRules{dot: kindImage, variables: map[string]kind{}, inRange: true}
	for name, is := range r.variables {
		inner.variables[name] = is
	}
	for i, name := range n.Pipe.Decl {
		inner.variables[name.Ident[0]] = kindImage
		if i == 0 && len(n.Pipe.Decl) == 2 {
			inner.variables[name.Ident[0]] = kindNumber
		}
	}
	if err := inner.list(n.List); err != nil {
		return err
	}

	return r.list(n.ElseList)
}

// value returns the kind of a pipe that declares no variable: a variable can
// double itself.
func (r branchRules) value(pipe *parse.PipeNode) (kind, error) {
	if len(pipe.Decl) > 0 {
		return "", fmt.Errorf("it can declare variables in range only, not in %s", pipe)
	}

	return r.commands(pipe)
}

func (r branchRules) commands(pipe *parse.PipeNode) (value kind, err error) {
	for _, command := range pipe.Cmds {
		if value, err = r.command(command, value); err != nil {
			return "", err
		}
	}

	return value, nil
}

// command returns the kind of a value, or of the result of a function. piped is
// what stands before it in a pipe; empty for nothing.
func (r branchRules) command(command *parse.CommandNode, piped kind) (kind, error) {
	function, called := command.Args[0].(*parse.IdentifierNode)
	if !called {
		if len(command.Args) > 1 || piped != "" {
			return "", fmt.Errorf("%s is not a function", command.Args[0])
		}

		return r.operand(command.Args[0])
	}

	var arguments []kind
	for _, argument := range command.Args[1:] {
		value, err := r.operand(argument)
		if err != nil {
			return "", err
		}
		arguments = append(arguments, value)
	}
	if piped != "" {
		arguments = append(arguments, piped)
	}
	if function.Ident == "printf" && !isPlainFormat(command) {
		return "", fmt.Errorf("the format of printf can have %%s, %%v and %%d only, with a width below 100")
	}

	return call(function.Ident, arguments)
}

func isPlainFormat(command *parse.CommandNode) bool {
	if len(command.Args) < 2 {
		return false
	}
	format, ok := command.Args[1].(*parse.StringNode)

	return ok && plainFormat.MatchString(format.Text)
}

// call returns the kind of the result of a function.
func call(function string, arguments []kind) (kind, error) {
	first, rest := kind(""), arguments
	if len(arguments) > 0 {
		first, rest = arguments[0], arguments[1:]
	}
	only := func(kinds []kind, allowed ...kind) bool {
		return !slices.ContainsFunc(kinds, func(k kind) bool { return !slices.Contains(allowed, k) })
	}

	result, ok := kind(""), false
	switch function {
	case "len":
		result, ok = kindNumber, len(rest) == 0 && only(arguments, kindImages, kindText)
	case "index":
		result, ok = kindImage, first == kindImages && len(rest) == 1 && only(rest, kindNumber)
	case "slice":
		result, ok = first, only(arguments[:min(1, len(arguments))], kindImages, kindText) && only(rest, kindNumber)
	case "print", "printf":
		result, ok = kindText, only(arguments, kindText, kindNumber, kindTruth)
	case "eq", "ne", "lt", "le", "gt", "ge":
		result, ok = kindTruth, only(arguments, kindText, kindNumber, kindTruth)
	case "and", "or":
		result, ok = kindTruth, true
		if only(rest, first) {
			result = first
		}
	case "not":
		result, ok = kindTruth, len(rest) == 0
	default:
		return "", fmt.Errorf("it cannot call %s", function)
	}
	if !ok || first == "" {
		return "", fmt.Errorf("%s does not take these arguments", function)
	}

	return result, nil
}

// operand returns the kind of a single value.
func (r branchRules) operand(node parse.Node) (kind, error) {
	switch n := node.(type) {
	case *parse.DotNode:
		return r.dot, nil
	case *parse.FieldNode:
		return fieldsOf(r.dot, n.Ident)
	case *parse.VariableNode:
		return fieldsOf(r.variables[n.Ident[0]], n.Ident[1:])
	case *parse.ChainNode:
		of, err := r.operand(n.Node)
		if err != nil {
			return "", err
		}

		return fieldsOf(of, n.Field)
	case *parse.PipeNode:
		return r.value(n)
	case *parse.StringNode:
		return kindText, nil
	case *parse.NumberNode:
		return kindNumber, nil
	case *parse.BoolNode:
		return kindTruth, nil
	}

	return "", fmt.Errorf("it cannot use %s", node)
}

// fieldsOf follows the names of fields from a kind of value.
func fieldsOf(of kind, names []string) (kind, error) {
	for i, name := range names {
		next, ok := branchFields[of][name]
		if !ok {
			return "", fmt.Errorf("there is no field .%s", strings.Join(names[:i+1], "."))
		}
		of = next
	}

	return of, nil
}
