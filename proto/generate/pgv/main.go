// Command pgv is the second opinion on validation: it checks messages by the Go code that protoc-gen-validate generated
// for the Envoy API, so that a test can compare it with the gateway's own walker.
//
// Input: lines `<message type> <base64 of the message>`. Output: for each line the number of violations, or `-` when Go
// has no rules for the type.
package main

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"os"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "gateway/proto/generate/envoyapi"
)

const lineMaxBytes = 1 << 20

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, lineMaxBytes), lineMaxBytes)
	for lines.Scan() {
		verdict, err := check(lines.Text())
		if err != nil {
			fmt.Fprintln(os.Stderr, "pgv:", err)
			os.Exit(1)
		}
		fmt.Println(verdict)
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintln(os.Stderr, "pgv:", err)
		os.Exit(1)
	}
}

func check(line string) (string, error) {
	name, encoded, _ := strings.Cut(line, " ")
	kind, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(name))
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	bytes, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return "", err
	}
	message := kind.New().Interface()
	if err := proto.Unmarshal(bytes, message); err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	ruled, ok := message.(interface{ ValidateAll() error })
	if !ok {
		return "-", nil
	}
	return fmt.Sprint(count(ruled.ValidateAll())), nil
}

// count adds up the violations at the ends of the tree that ValidateAll makes of nested messages.
func count(err error) int {
	if err == nil {
		return 0
	}
	if many, ok := err.(interface{ AllErrors() []error }); ok {
		total := 0
		for _, one := range many.AllErrors() {
			total += count(one)
		}
		return total
	}
	if field, ok := err.(interface{ Cause() error }); ok && field.Cause() != nil {
		return count(field.Cause())
	}
	return 1
}
