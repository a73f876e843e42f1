// Command generate writes the descriptor sets of the gateway into a folder (first argument, normally `proto/`):
//
//   - envoy-api.binpb: the Envoy API, from the descriptors compiled into the published go-control-plane module;
//   - command-service.binpb: our command service with its imports, google.rpc error details and grpc.health.v1;
//   - versions.json: which module versions they were made of, and the SHA-256 of each file.
//
// The output depends on nothing but the source and the versions in go.mod, so a test regenerates it and compares bytes.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) < 1 || len(arguments) > 2 {
		return fmt.Errorf("usage: generate OUTPUT_FOLDER [PROTO_SOURCE_FOLDER]")
	}
	output := arguments[0]
	source := output
	if len(arguments) == 2 {
		source = arguments[1]
	}
	envoy, err := envoyAPI()
	if err != nil {
		return err
	}
	command, err := commandService(source)
	if err != nil {
		return err
	}
	files := map[string][]byte{"envoy-api.binpb": envoy, "command-service.binpb": command}
	versions, err := versionsJSON(files)
	if err != nil {
		return err
	}
	files["versions.json"] = versions
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(output, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
